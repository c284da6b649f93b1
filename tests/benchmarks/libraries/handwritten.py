"""NumPy by hand: no library, one buffer for every value, the gradients worked out on paper. The limit for NumPy code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..problems import Problem


def notebook(p: Problem) -> Callable[[], float]:
    """Gradient descent.

    Convolution is one GEMM over columns (9, N 16 16), copied from windows of a padded image. Its output lies channels
    first, as does its gradient, so relu and its mask also change the order of the axes. relu has an array of zeros
    because `maximum` with a scalar takes a slower loop.
    """
    n = len(p.x)
    lr = np.float32(1e-4)
    x, target = p.x.reshape(n, 32, 32), p.target
    w0, b0, w1, b1, w2, b2 = weights = [a.copy() for a in p.weights]
    kernel, b0 = w0.reshape(4, 9), b0.reshape(4, 1)

    def buffer(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.float32)

    padded = buffer(n, 34, 34)
    inner = padded[:, 1:33, 1:33]
    image, row, pixel = padded.strides
    windows = np.ndarray((3, 3, n, 16, 16), np.float32, padded, 0, (row, pixel, image, 2 * row, 2 * pixel))
    columns = buffer(9, n * 256)
    z, gz, positive = buffer(4, n * 256), buffer(4, n * 256), np.zeros((4, n * 256), bool)
    h, gh, zeros = buffer(n, 1024), buffer(n, 1024), buffer(n, 4, 256)
    a, ga, y = buffer(n, 10), buffer(n, 10), buffer(n, 1)
    gradients = g0, gb0, g1, gb1, g2, gb2 = [np.zeros_like(w) for w in (kernel, b0, *weights[2:])]
    updates = list(zip((kernel, b0, *weights[2:]), gradients, strict=True))

    def by_image(channels_first: np.ndarray) -> np.ndarray:
        return channels_first.reshape(4, n, 256).swapaxes(0, 1)

    into_columns = columns.reshape(3, 3, n, 16, 16)
    z_by_image, gz_by_image, positive_by_image = by_image(z), by_image(gz), by_image(positive)
    h_by_image, gh_by_image = h.reshape(n, 4, 256), gh.reshape(n, 4, 256)

    def call() -> float:
        np.copyto(inner, x)
        np.copyto(into_columns, windows)
        np.dot(kernel, columns, out=z)
        np.add(z, b0, out=z)
        np.maximum(z_by_image, zeros, out=h_by_image)
        np.dot(h, w1, out=a)
        np.add(a, b1, out=a)
        np.dot(a, w2, out=y)
        np.add(y, b2, out=y)
        np.subtract(y, target, out=y)
        loss = np.vdot(y, y) / n

        np.multiply(y, np.float32(2 / n), out=y)
        np.dot(a.T, y, out=g2)
        np.add.reduce(y, 0, out=gb2)
        np.dot(y, w2.T, out=ga)
        np.dot(h.T, ga, out=g1)
        np.add.reduce(ga, 0, out=gb1)
        np.dot(ga, w1.T, out=gh)
        np.greater(z, 0, out=positive)
        np.multiply(gh_by_image, positive_by_image, out=gz_by_image)
        np.dot(gz, columns.T, out=g0)
        np.add.reduce(gz, 1, out=gb0, keepdims=True)

        for w, g in updates:
            np.multiply(g, lr, out=g)
            np.subtract(w, g, out=w)
        return float(loss)

    return call
