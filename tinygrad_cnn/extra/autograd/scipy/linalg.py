"""``scipy.linalg``: what NumPy has too, equations with triangular, banded and Sylvester matrices, sqrtm and expm record."""

from __future__ import annotations

import builtins as _builtins
from collections.abc import Callable as _Callable
from typing import Any as _Any

from scipy import linalg as _scipy

from .. import numpy as _np
from ..extend import defvjp as _defvjp
from ..extend import defvjp_argnums as _defvjp_argnums
from ..extend import primitive as _primitive
from ..wrapping import recording as _recording
from ..wrapping import refusing as _refusing

_WHY = "no op records it; define its derivative with autograd.extend.defvjp"


def _t(x: _Any) -> _Any:
    return _np.swapaxes(x, -1, -2)


# Equations


def _solve_triangular_rule(
    argnums: tuple[int, ...], ans: _Any, args: tuple[_Any, ...], kwargs: dict[str, _Any]
) -> _Callable[[_Any], _Any]:
    """With x = op(A)^-1 b:   b' = op(A)^-T g,  A' = -b' x^T, or its transpose, as one triangle."""
    a, b, trans, lower, unit, *_ = (
        *args[:5], *(kwargs.get(n, d) for n, d in (("trans", 0), ("lower", False), ("unit_diagonal", False))[len(args) - 2 :])
    )  # fmt: skip
    flipped = {0: 1, "N": 1}.get(trans, 0)

    def vjp(g: _Any) -> list[_Any]:
        slope = solve_triangular(a, g, trans=flipped, lower=lower, unit_diagonal=unit)
        if argnums == (1,):
            return [slope]
        rows, columns = (slope, ans) if flipped else (ans, slope)
        outer = -(_np.outer(rows, columns) if _np.ndim(b) == 1 else rows @ _t(columns))
        triangle = _np.tril(outer, -int(unit)) if lower else _np.triu(outer, int(unit))
        return [triangle if i == 0 else slope for i in argnums]

    return vjp


solve_triangular = _primitive(_scipy.solve_triangular)
_defvjp_argnums(solve_triangular, _solve_triangular_rule)


def _solve_sylvester_rule(
    argnums: tuple[int, ...], ans: _Any, args: tuple[_Any, ...], kwargs: dict[str, _Any]
) -> _Callable[[_Any], _Any]:
    """With A X + X B = Q:   Q' = S, where A^T S + S B^T = g,  A' = -S X^T,  B' = -X^T S."""
    a, b, _ = args

    def vjp(g: _Any) -> list[_Any]:
        s = solve_sylvester(_t(a), _t(b), g)
        return [-s @ _t(ans) if i == 0 else -_t(ans) @ s if i == 1 else s for i in argnums]

    return vjp


solve_sylvester = _primitive(_scipy.solve_sylvester)
_defvjp_argnums(solve_sylvester, _solve_sylvester_rule)


def solve_continuous_lyapunov(a: _Any, q: _Any) -> _Any:
    """The X with A X + X A^T = Q."""
    return solve_sylvester(a, _t(a), q)


solve_lyapunov = solve_continuous_lyapunov


def _transposed_band(l_and_u: tuple[int, int], ab: _Any) -> _Any:
    """The band of the transpose: row l + i - j has a[j, i] = ab[u + j - i, i]."""
    low, up = l_and_u
    n = _np.shape(ab)[1]
    rows = []
    for k in _builtins.range(
        -low, up + 1
    ):  # the diagonal j - i of A is at row up - k, and at row low + k of the transpose
        row = ab[up - k]
        zeros = _np.zeros(_builtins.min(_builtins.abs(k), n))
        rows.append(_np.concatenate([row[k:], zeros] if k > 0 else [zeros, row[: n + k]] if k else [row]))
    return _np.stack(rows)


def _solve_banded_rule(
    argnums: tuple[int, ...], ans: _Any, args: tuple[_Any, ...], kwargs: dict[str, _Any]
) -> _Callable[[_Any], _Any]:
    """With A x = b:   b' = A^-T g,  A' = -b' x^T in the band."""
    (low, up), ab, b, *_ = args
    n = _np.shape(ab)[1]

    def vjp(g: _Any) -> list[_Any]:
        slope = solve_banded((up, low), _transposed_band((low, up), ab), g)
        s, x = (slope[:, None], ans[:, None]) if _np.ndim(b) == 1 else (slope, ans)
        rows = []
        for k in _builtins.range(up, -low - 1, -1):
            i, j = (0, k) if k > 0 else (-k, 0)
            products = _np.sum(s[i : n - j] * x[j : n - i], axis=1)
            rows.append(_np.concatenate([_np.zeros(_builtins.min(j, n)), -products, _np.zeros(_builtins.min(i, n))]))
        return [_np.stack(rows) if at == 1 else slope for at in argnums]

    return vjp


solve_banded = _primitive(_scipy.solve_banded)
_defvjp_argnums(solve_banded, _solve_banded_rule)

# Functions of matrices

sqrtm = _primitive(_scipy.sqrtm)
_defvjp(sqrtm, lambda ans, a, *rest: lambda g: solve_sylvester(_t(ans), _t(ans), g))


def _expm_rule(ans: _Any, a: _Any) -> _Callable[[_Any], _Any]:
    """g times the derivative of the exponential at A^T: the upper right block of exp [[A^T, g], [0, A^T]]."""
    n = _np.shape(a)[-1]

    def vjp(g: _Any) -> _Any:
        top = _np.concatenate([_t(a), g], axis=-1)
        bottom = _np.concatenate([_np.zeros(_np.shape(a)), _t(a)], axis=-1)
        return expm(_np.concatenate([top, bottom], axis=-2))[..., :n, n:]

    return vjp


expm = _primitive(_scipy.expm)
_defvjp(expm, _expm_rule)

# Functions that NumPy has, too


def _cholesky(a: _Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> _Any:
    factor = _np.linalg.cholesky(a)
    return factor if lower else _t(factor)


def _solve(a: _Any, b: _Any, **options: _Any) -> _Any:
    if options.get("transposed"):
        a = _t(a)
    return _np.linalg.solve(a, b)


def _block_diag(*arrays: _Any) -> _Any:
    blocks = [_np.atleast_2d(_np.array(a, dtype=float)) for a in arrays]
    widths = [_np.shape(block)[1] for block in blocks]
    rows, before = [], 0
    for block, width in zip(blocks, widths, strict=True):
        height = _np.shape(block)[0]
        rows.append(
            _np.concatenate(
                [_np.zeros((height, before)), block, _np.zeros((height, _builtins.sum(widths) - before - width))],
                axis=1,
            )
        )
        before += width
    return _np.concatenate(rows, axis=0)


_OTHERS: dict[str, _Callable[..., _Any]] = {
    "block_diag": _block_diag, "cholesky": _cholesky, "det": lambda a, **_: _np.linalg.det(a),
    "eigh": lambda a, lower=True: _np.linalg.eigh(a, "L" if lower else "U"),
    "eigvalsh": lambda a, lower=True: _np.linalg.eigvalsh(a, "L" if lower else "U"), "inv": lambda a, **_: _np.linalg.inv(a),
    "norm": lambda a, ord=None, axis=None, keepdims=False, check_finite=True: _np.linalg.norm(a, ord, axis, keepdims),
    "pinv": lambda a: _np.linalg.pinv(a), "solve": _solve,
    "svd": lambda a, full_matrices=True, compute_uv=True: _np.linalg.svd(a, full_matrices, compute_uv),
    "svdvals": lambda a, **_: _np.linalg.svd(a, compute_uv=False),
}  # fmt: skip

for _name in dir(_scipy):
    _value = getattr(_scipy, _name)
    if _name.startswith("_") or not callable(_value) or _name in globals():
        continue
    if _name in _OTHERS:
        globals()[_name] = _recording(_value, __name__, _OTHERS[_name])
    else:
        globals()[_name] = _value if isinstance(_value, type) else _refusing(_value, __name__, _WHY)
