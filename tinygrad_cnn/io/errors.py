"""The error for files that are not valid checkpoints."""


class CheckpointError(ValueError):
    """A file cannot be loaded: it is damaged, hostile, of another format than its name says, or of another training.

    The message gives the file and the reason. A file that does not exist, or may not be read, is an OSError.
    """
