"""Pictures of graphs: what was computed, with its values and gradients, as one HTML page."""

from .page import Page
from .show import show

__all__ = ["Page", "show"]


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)
