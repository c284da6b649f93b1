"""Data as plain NumPy arrays: real images to train on, and what prepares them."""

from .digits import digits
from .images import enlarge

__all__ = ["digits", "enlarge"]
