"""``scipy.special``, whose functions record where the library has an op for them, and refuse Tensors elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scipy import special as _special

from tinygrad_cnn.extra import special as _ours  # a full name: see `install`

from ..extend import notrace_primitive as _notrace
from ..wrapping import recording as _recording
from ..wrapping import refusing as _refusing

if TYPE_CHECKING:  # the names are those of SciPy

    def __getattr__(name: str) -> Any: ...


_WHY = "no op records it; define its derivative with autograd.extend.defvjp"

for _name in dir(_special):
    _value = getattr(_special, _name)
    if _name.startswith("_") or not callable(_value) or isinstance(_value, type):
        continue
    if _name == "gammasgn":
        globals()[_name] = _notrace(_value)
    elif _name in _ours.__all__:
        globals()[_name] = _recording(_value, __name__, getattr(_ours, _name))
    else:
        globals()[_name] = _refusing(_value, __name__, _WHY)
