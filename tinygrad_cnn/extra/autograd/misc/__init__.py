"""``flatten``, optimizers and fixed points, by HIPS/autograd's names."""

from .flatten import flatten, flatten_func

__all__ = ["flatten", "flatten_func"]
