"""Methods of ``torch.nn.Module``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .common import check_device, is_dtype, is_processor, public, tg


def with_devices(convert: Callable[..., Any]) -> Callable[..., Any]:
    """``Module.to``, which takes PyTorch's arguments too: a device, a Tensor in place of its dtype, `non_blocking`."""

    @wraps(convert)
    def to(self: Any, *args: Any, **named: Any) -> Any:
        if len(args) == 1 and not named and is_dtype(args[0]):
            return convert(self, args[0])
        owner = f"{type(self).__name__}.to"
        device, _ = named.pop("device", None), named.pop("non_blocking", None)
        check_device(owner, device)
        rest = [x for x in args if not (x is None or isinstance(x, bool))]
        converted = [x.dtype if isinstance(x, tg().Tensor) else x for x in rest if not is_processor(x)]
        if not converted and not named and (device or any(x is not None for x in args)):
            return self
        return convert(self, *(converted or args), **named)

    return to


def float_(self: Any) -> Any:
    """`model.to(np.float32)`"""
    return self.to(np.float32)


def double(self: Any) -> Any:
    """`model.to(np.float64)`"""
    return self.to(np.float64)


def half(self: Any) -> Any:
    """`model.to(np.float16)`"""
    return self.to(np.float16)


def type_(self: Any, dst_type: Any) -> Any:
    """`model.to(dtype)`"""
    return self.to(dst_type)


def cpu(self: Any) -> Any:
    """the model itself"""
    return self


def get_parameter(self: Any, target: str) -> Any:
    """`dict(model.named_parameters())[name]`"""
    return _named(self, "get_parameter", target, self.named_parameters())


def get_buffer(self: Any, target: str) -> Any:
    """`dict(model.named_buffers())[name]`"""
    return _named(self, "get_buffer", target, self.named_buffers())


def _named(module: Any, name: str, target: str, pairs: Any) -> Any:
    found = dict(pairs)
    if target not in found:
        raise AttributeError(
            f"{type(module).__name__}.{name}: there is no {target!r:.60}; there are {', '.join(found) or 'none'}"
        )
    return found[target]


TABLE: dict[str, Any] = {name: method for name, method in public(globals(), __name__).items() if name != "with_devices"}
