"""The error of what has no form in JAX."""


class JaxError(RuntimeError):
    """A program does what cannot be computed by JAX. The message names the op or the function, says why, and what to do."""
