"""A training as it runs, on a page in the browser."""

from .live import Live

__all__ = ["Live"]
