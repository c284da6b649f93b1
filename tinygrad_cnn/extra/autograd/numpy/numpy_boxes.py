"""``ArrayBox``: what is being differentiated, a Tensor, whose value is also called ``_value``."""

from ..boxes import ArrayBox, Box, SequenceBox

__all__ = ["ArrayBox", "Box", "SequenceBox"]
