"""Tools that prove gradients right, for this library's ops and for yours. Strategies for Hypothesis are in ``.strategies``."""

from .gradcheck import assert_gradients, gradcheck

__all__ = ["assert_gradients", "gradcheck"]
