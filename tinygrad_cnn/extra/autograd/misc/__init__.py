"""``flatten``, optimizers and fixed points, by HIPS/autograd's names."""

from collections.abc import Callable
from typing import Any

from .flatten import flatten, flatten_func

__all__ = ["const_graph", "flatten", "flatten_func"]


def const_graph(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
    """The function of the arguments that follow `args`. Here every call is recorded anew, so it may have branches."""
    return lambda *rest: fun(*args, *rest, **kwargs)
