"""Kernels compiled by Numba, for ops that take several passes over memory in NumPy. They need Numba, the extra ``numba``."""

from __future__ import annotations

__all__ = ["use_numba"]


def use_numba(on: bool = True) -> None:
    """Let compiled kernels compute some ops of float32, or with ``use_numba(False)`` NumPy again.

    These are softmax and its logarithm, the cross-entropy of class labels, layer norm, the exact GELU, SiLU, depthwise
    convolution (3 x 3 with stride 1 or 2, and 7 x 7; where channels are last in memory, of 16 and more), max-pooling and
    cumulative sums, with their gradients. Other dtypes and sizes are computed as before. Results are as accurate, but not bit
    for bit the same as NumPy's; they depend neither on the number of threads nor on whether a function is compiled.

    Each kernel is compiled at its first use, in about half a second, and kept in a file for later processes. The environment
    variable ``TINYGRAD_CNN_NUMBA=1`` calls this function at import.

    Args:
        on: whether compiled kernels are used.

    Raises:
        TypeError: if `on` is not True or False.
        ImportError: if Numba is not installed.

    >>> import tinygrad_cnn as tg
    >>> tg.use_numba()  # doctest: +SKIP
    """
    if not isinstance(on, bool):
        raise TypeError(f"use_numba: `on` is {on!r:.60}; it must be True or False")
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "use_numba: Numba is not installed; install the extra: pip install 'tinygrad_cnn[numba]'", name="numba"
        ) from error
    from . import attached

    attached.attach(on)
