"""SciPy's functions that record: ``special``, ``stats``, ``linalg``, ``signal``, ``integrate``. ``optimize`` is SciPy's own."""

from importlib import import_module
from types import ModuleType

__all__ = ["integrate", "linalg", "optimize", "signal", "special", "stats"]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f".{name}", __name__)
