"""The logarithm of the posterior of a mixture of Gaussians, with a Wishart prior on the precision matrices."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

import tinygrad_cnn as tg

from ..function import Function


@cache
def places(d):
    """Where each element of a lower triangular matrix is in [diagonal, the rest column by column, 0]."""
    index = np.full((d, d), d + d * (d - 1) // 2)
    index[np.diag_indices(d)] = np.arange(d)
    columns, rows = np.triu_indices(d, 1)
    index[rows, columns] = d + np.arange(len(rows))
    return index


def log_gamma(d, a):
    """The logarithm of the multivariate gamma function."""
    return d * (d - 1) / 4 * math.log(math.pi) + sum(math.lgamma(a - j / 2) for j in range(d))


def objective(alpha, mu, q, rest, x, m, gamma):
    (k, d), n = mu.shape, x.shape[0]
    zero = np.zeros((k, 1))
    root = tg.concatenate([tg.exp(q), rest, zero], axis=1)[:, places(d)]  # (k, d, d)
    size = q.sum(axis=1)
    z = (x - mu[:, None]) @ root.swapaxes(1, 2)  # (k, n, d)
    beta = (alpha + size)[:, None] - 0.5 * (z * z).sum(axis=2)
    likelihood = tg.logsumexp(beta, axis=0).sum() - n * (d / 2 * math.log(2 * math.pi) + tg.logsumexp(alpha))
    freedom = d + m + 1
    constant = k * (freedom * d * math.log(gamma / math.sqrt(2)) - log_gamma(d, freedom / 2))
    return likelihood + constant - gamma**2 / 2 * (root * root).sum() + m * size.sum()


def read(given):
    independent = [tg.Tensor(np.array(given[name], np.float64)) for name in ("alpha", "mu", "q")]
    rest = np.array(given["l"], np.float64).reshape(given["k"], -1)
    return *independent, tg.Tensor(rest), tg.Tensor(np.array(given["x"])), given["m"], given["gamma"]


def write(y):
    return dict(zip(("alpha", "mu", "q", "l"), (a.tolist() for a in y), strict=True))


FUNCTIONS = {
    "objective": Function(read, objective),
    "jacobian": Function(read, tg.grad(objective, argnums=(0, 1, 2, 3)), write),
}
