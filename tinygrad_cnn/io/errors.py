"""What is raised for a file that is not, or no longer, a checkpoint."""


class CheckpointError(ValueError):
    """A file cannot be loaded: it is damaged, not of the format that its name says, or made to do harm.

    The message gives the file and the reason. A file that is not there, or may not be read, is an OSError instead.
    """
