"""Tools that prove gradients right, for this library's ops and for yours."""

from .gradcheck import assert_gradients

__all__ = ["assert_gradients"]
