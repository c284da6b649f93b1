"""Functions of functions: derivatives, checkpointing, and the search for what is not finite."""
