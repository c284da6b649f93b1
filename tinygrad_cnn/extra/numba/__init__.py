"""Kernels compiled by Numba, for ops that take several passes over memory in NumPy. They need Numba, the extra ``numba``."""

from __future__ import annotations

__all__ = ["use_numba"]


def use_numba(on: bool = True, *, winograd: int = 4) -> None:
    """Let compiled kernels compute some ops of float32, or with ``use_numba(False)`` NumPy again.

    These are softmax and its logarithm, the cross-entropy of class labels, batch norm of images with channels last in memory,
    also with ReLU or ReLU6 behind it in a Sequential, layer norm, the exact GELU, SiLU, depthwise convolution (3 x 3 with
    stride 1 or 2, and 7 x 7; where channels are last in memory, of 16 and more), convolution by 3 x 3 filters with stride 1
    from and to multiples of 16 channels, max-pooling and cumulative sums, with their gradients; on processors with AVX-512 also
    linear layers, products of matrices, convolutions by 1 x 1 filters, and by larger ones than 3 x 3 between few channels,
    where BLAS would mostly copy. SGD with momentum and Adam are compiled as well, and with the same bits what
    :mod:`tinygrad_cnn.vision.transforms` does to uint8 images. Other dtypes and sizes are computed as before. Results are not
    bit for bit the same as NumPy's; they depend neither on the number of threads nor on whether a function is compiled.

    Convolutions by 3 x 3 filters use Winograd's F(4 x 4, 3 x 3) or F(2 x 2, 3 x 3), which multiply less. Their errors are below
    1e-6 or 4e-7 of a typical output, where a plain sum has 2e-7 to 4e-7. Errors near a pixel that is far larger than others are
    relative to its size. Other results are as accurate as NumPy's.

    Each kernel is compiled at its first use, in half a second to a few seconds, and kept in a file for later processes. The
    environment variable ``TINYGRAD_CNN_NUMBA=1`` calls this function at import.

    Args:
        on: whether compiled kernels are used.
        winograd: the outputs along an axis that Winograd's tiles may have, 4 or 2; 0 to sum all products. The environment
            variable ``TINYGRAD_CNN_WINOGRAD`` gives it at import.

    Raises:
        TypeError: if `on` is not True or False.
        ValueError: if `winograd` is not 4, 2 or 0.
        ImportError: if Numba is not installed.

    >>> import tinygrad_cnn as tg
    >>> tg.use_numba()  # doctest: +SKIP
    """
    if not isinstance(on, bool):
        raise TypeError(f"use_numba: `on` is {on!r:.60}; it must be True or False")
    if not isinstance(winograd, int) or winograd not in (0, 2, 4):
        raise ValueError(f"use_numba: `winograd` is {winograd!r:.60}; it must be 4, 2 or 0")
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "use_numba: Numba is not installed; install the extra: pip install 'tinygrad_cnn[numba]'", name="numba"
        ) from error
    from . import attached

    attached.attach(on, winograd)
