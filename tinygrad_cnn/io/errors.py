"""What is raised for a file that is not, or no longer, a checkpoint, or not the one that is needed."""


class CheckpointError(ValueError):
    """A file cannot be loaded: it is damaged, not of the format that its name says, made to do harm, or of another training.

    The message gives the file and the reason. A file that is not there, or may not be read, is an OSError instead.
    """
