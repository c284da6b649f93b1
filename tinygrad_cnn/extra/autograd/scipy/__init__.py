"""SciPy's functions that record: ``special``, ``stats``, ``linalg``, ``signal``, ``integrate``. ``optimize`` is SciPy's own."""

from . import integrate, linalg, optimize, signal, special, stats

__all__ = ["integrate", "linalg", "optimize", "signal", "special", "stats"]
