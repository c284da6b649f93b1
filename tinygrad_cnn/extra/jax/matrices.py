"""What ops of matrices compute here that look at values: whether eigenvalues are real, and whether a matrix is singular."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ...ops import eigen, linalg
from . import checks
from .array import Array, is_traced
from .definitions import helper
from .errors import JaxError
from .trees import plain


@helper(linalg._well_conditioned)
def well_conditioned(a: Any) -> list[tuple[float, None]]:
    """The matrix itself: of a singular one, the gradient of the determinant is NaN here."""
    return [(1.0, None)]


@helper(eigen._eig)
def eig(a: Any) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors. Those of a real matrix are real; NaN if an eigenvalue is not, as dtypes are known first."""
    if jax.default_backend() == "tpu":
        raise JaxError("JAX has no eigenvalues of general matrices on TPUs; use eigh for symmetric ones")
    w, v = jnp.linalg.eig(plain(a))
    if a.dtype.kind == "c":
        return Array(w), Array(v)
    wrong = jnp.any(w.imag != 0)
    if not is_traced(wrong) and wrong:
        raise JaxError(
            "a real matrix has complex eigenvalues, and in JAX dtypes do not depend on values: give a complex one"
        )
    checks.note(wrong)
    return Array(w.real), Array(v.real)
