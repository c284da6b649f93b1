"""Functions of ``torch`` that are written here as compositions of ops."""

from __future__ import annotations

from typing import Any

from .common import public, tg


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str | None = None) -> Any:
    """`tg.norm(x[..., :, None, :] - y[..., None, :, :], p, axis=-1)`"""
    return tg().norm(x1[..., :, None, :] - x2[..., None, :, :], p, axis=-1)


def cartesian_prod(*tensors: Any) -> Any:
    """`tg.stack` of `tg.meshgrid(..., indexing="ij")`, a row for each combination"""
    if len(tensors) == 1:
        return tensors[0]
    grids = tg().meshgrid(*tensors, indexing="ij")
    return tg().stack([tg().ravel(grid) for grid in grids], axis=-1)


def det(input: Any) -> Any:
    """`tg.linalg.det(x)`"""
    return tg().linalg.det(input)


def complex(real: Any, imag: Any) -> Any:
    """`x + 1j * y`"""
    if real.dtype != imag.dtype or real.dtype.kind != "f":
        raise TypeError(
            f"complex: the parts are {real.dtype} and {imag.dtype}; they must be of one floating-point dtype"
        )
    return real + 1j * imag


def polar(abs: Any, angle: Any) -> Any:
    """`r * tg.exp(1j * angle)`"""
    return abs * tg().exp(1j * angle)


def view_as_real(input: Any) -> Any:
    """`tg.stack([z.real, z.imag], axis=-1)`, which is no view"""
    if input.dtype.kind != "c":
        raise TypeError(f"view_as_real: `input` is {input.dtype}; it must be complex")
    return tg().stack([input.real, input.imag], axis=-1)


def view_as_complex(input: Any) -> Any:
    """`x[..., 0] + 1j * x[..., 1]`, which is no view"""
    if not input.ndim or input.shape[-1] != 2:
        raise ValueError(f"view_as_complex: `input` has shape {input.shape}; the last axis must have two elements")
    return complex(input[..., 0], input[..., 1])


TABLE: dict[str, Any] = public(globals(), __name__)
