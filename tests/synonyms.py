"""Expressions that mean the same in PyTorch and here: `T` is the package, `F` its functional, x, y, ... Tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

ARRAYS: dict[str, Any] = {
    "x": np.array([[1.5, -2.0, 0.25], [3.0, 0.5, -1.0]], np.float32),
    "y": np.array([[0.5, 2.0, -0.75], [1.0, 0.5, 2.0]], np.float32),
    "u": np.array([[0.5, -0.25, 0.75], [0.125, 1.0, 0.0]], np.float32),
    "v": np.array([1.0, 2.0, -0.5], np.float32),
    "c": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8 - 1,
    "s": np.array([[2.0, 1.0], [0.5, 3.0]], np.float32),
    "i": np.array([1, 0, 1]),
    "k": np.array([[5, -3, 2], [7, 4, 6]]),
    "m": np.array([[True, False, True], [False, False, True]]),
    "n": np.array([[1, 0, 1], [0, 1, 1]]),
    "g": np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4),
}  # fmt: skip
"""The values of the names in expressions."""

FUNCTIONS = """
    T.tensor([1, 2]); T.tensor([1.5, 2]); T.tensor([True, False]); T.tensor([[1], [2]], dtype=T.float64); T.tensor(3)
    T.tensor(x); T.as_tensor(x); T.as_tensor([1, 2]); T.as_tensor(x, dtype=T.float64); T.asarray([1.5])
    T.asarray(x, copy=True)
    T.cat([x, y]); T.cat((x, y), dim=1); T.cat([x, y], 1); T.concat([x, y], dim=-1)
    T.chunk(x, 2, dim=1)[0]; T.chunk(x, 2, dim=1)[1]; T.chunk(v, 5)[2]; T.unbind(x, dim=1)[2]; T.unbind(x)[1]
    T.narrow(x, 1, 1, 2); T.narrow(x, 1, -2, 1); T.unsqueeze(x, 1); T.unsqueeze(x, -1); T.permute(c, (2, 0, 1)); T.t(x)
    T.t(v)
    T.unflatten(c, 2, (2, 2)); T.unflatten(c, -1, (-1, 2)); T.mm(x, y.T); T.bmm(c, c.mT); T.mv(x, v)
    T.addmm(s, x, y.T); T.addmm(s, x, y.T, beta=2, alpha=0.5); T.baddbmm(v, c.mT, c.mT[:, :3, :3], beta=0.5)
    T.addcmul(x, y, u, value=0.5); T.addcdiv(x, y, 1 + u * u, value=2); T.divide(x, y)
    T.divide(x, y, rounding_mode="floor")
    T.divide(x, y, rounding_mode="trunc"); T.true_divide(x, y); T.multiply(x, y); T.subtract(x, y); T.negative(x)
    T.clamp(x, 0, 1); T.clamp(x, min=0); T.clamp(x, max=y); T.clamp_min(x, 0.5); T.clamp_max(x, 0.5)
    T.rsqrt(y * y); T.frac(x); T.fix(x); T.sgn(x); T.absolute(x)
    T.index_select(x, 1, i); T.take_along_dim(x, n, dim=0); T.take_along_dim(x, n); T.repeat_interleave(x, 2)
    T.repeat_interleave(x, 2, dim=0); T.movedim(c, 0, -1); T.swapdims(c, 0, 2); T.clone(x); T.numel(x); T.is_tensor(x)
    T.is_tensor(3); T.is_floating_point(x); T.is_floating_point(i)
    T.is_complex(x); T.zeros(1, dtype=T.complex64); T.zeros(1, dtype=T.cfloat); T.zeros(1, dtype=T.complex128)
    T.zeros(1, dtype=T.cdouble); T.empty(2, 3).shape; T.empty((2,), dtype=T.int64).shape; T.empty_like(x).shape
    T.randint(5, 6, (2, 2))
    T.randint(1, (3,))
    T.sort(T.randperm(4)).values if hasattr(T, "_C") else T.sort(T.randperm(4)); T.bernoulli(T.ones(3))
    T.bernoulli(T.zeros(3))
    str(T.device("cpu")); T.cuda.is_available(); T.cuda.device_count()
    T.zeros(1, dtype=T.float16); T.zeros(1, dtype=T.half); T.zeros(1, dtype=T.float32); T.zeros(1, dtype=T.float)
    T.zeros(1, dtype=T.float64); T.zeros(1, dtype=T.double); T.zeros(1, dtype=T.int8); T.zeros(1, dtype=T.int16)
    T.zeros(1, dtype=T.short); T.zeros(1, dtype=T.int32); T.zeros(1, dtype=T.int); T.zeros(1, dtype=T.int64)
    T.zeros(1, dtype=T.long); T.zeros(1, dtype=T.uint8); T.zeros(1, dtype=T.bool)
    T.zeros(1, dtype=T.uint16); T.zeros(1, dtype=T.uint32); T.zeros(1, dtype=T.uint64)
    T.row_stack([x, y]); T.acos(u); T.asin(u); T.atan(x); T.atan2(x, y); T.acosh(1 + y * y); T.asinh(x); T.atanh(u / 2)
    T.eq(x, y); T.ne(x, y); T.lt(x, y); T.le(x, y); T.gt(x, y); T.ge(x, y); T.ger(v, v); T.inverse(s); T.pinverse(x)
    T.bitwise_left_shift(n, n); T.bitwise_right_shift(k, n); T.trapz(x); T.tensor_split(v, 2)[0]
    T.allclose(x, x + 1e-9); T.allclose(x, y); T.allclose(x, x + 0.1, atol=0.2); T.isclose(x, y); T.isclose(x, x, rtol=0)
    T.inference_mode(lambda: 2)(); T.inference_mode()(lambda: 3)(); T.multinomial(T.tensor([0.0, 2.0]), 1)
    T.multinomial(T.tensor([[0.0, 2.0], [1.0, 0.0]]), 3, replacement=True); T.multinomial(T.eye(2), num_samples=1)
    T.zeros(2, device="cpu"); T.flip(x, dims=(0, 1)); T.roll(x, 1, dims=0); T.flatten(c, start_dim=1); T.triu(x, diagonal=1)
    T.Size([2, 3]) == x.shape; isinstance(x.dtype, T.dtype); isinstance(T.float32, T.dtype); isinstance("f", T.dtype)
    float(T.finfo(x.dtype).max); bool(T.finfo(T.float32).eps > 0); T.iinfo(T.int16).min; T.pi; T.inf; str(T.nan); T.e
    T.jit.is_scripting(); T.jit.ignore(lambda a: -a)(2); T.jit.unused(lambda a: -a)(3)
    T.unique(k % 3); T.unique(k % 3, return_counts=True)[1]; T.unique(k % 3, return_inverse=True)[1]; T.unique(n, dim=1)
    T.unique(n, return_inverse=True, dim=1)[1]
    T.bincount(i); T.bincount(i, minlength=4); T.bincount(i, v); T.histc(x, 4); T.histc(x, bins=3, min=-1, max=1)
    T.count_nonzero(n); T.count_nonzero(n, dim=1); T.count_nonzero(n, (0, 1)); T.bucketize(x, v.abs().cumsum(0))
    T.bucketize(k, i.cumsum(0), right=True); T.bucketize(k, i.cumsum(0), out_int32=True)
    T.cdist(x, y); T.cdist(x, y[:1], p=1.0); T.cdist(c, c[:, :2]); T.cartesian_prod(k[0], i); T.cartesian_prod(v); T.det(s)
    T.complex(x, y).imag; T.polar(x.abs(), y).real; T.view_as_real(T.complex(x, y)); T.view_as_complex(s).imag
    T.linspace(0, 1, steps=5); T.roll(x, shifts=1, dims=1); T.var(x, dim=1, unbiased=False); T.std(x, 0, unbiased=True)
    T.topk(v, 2, dim=0, sorted=True).indices; T.topk(x, 2, 1, True, True)[0]; x.topk(1, 1, False, True)[1]; x.topk(2).values
"""

METHODS = """
    x.view(3, 2); x.view(-1); x.view((3, -1)); x.view_as(y); x.reshape_as(y.T); x.expand(2, 2, 3); x[:, :1].expand(-1, 3)
    v.expand(2, -1); v.expand((2, 3)); v.expand_as(x); c.permute(2, 0, 1); c.permute((1, 0, 2)); c.unflatten(2, (2, 2))
    c.unflatten(-1, (2, -1)); c.select(1, 2); c.select(-1, 0); c.permute(2, 0, 1).contiguous(); x.to(T.float64); x.to("cpu")
    x.to("cpu", T.float16); x.to(i); x.to(dtype=T.int32); x.to(device="cpu", non_blocking=True); x.to(T.float32, copy=True)
    x.to(i, True); x.cpu(); x.type(T.float64); x.type_as(i); x.dim(); x.ndimension(); x.numel(); x.nelement()
    x.element_size()
    x.is_complex(); x.cfloat().shape; x.cdouble().dtype == T.complex128; x.is_floating_point(); x.add(y)
    x.add(y, alpha=2); x.add(1); x.sub(y); x.sub(y, alpha=2); x.mul(y)
    x.mul(2)
    x.div(y); x.div(y, rounding_mode="floor"); x.div(y, rounding_mode="trunc"); x.neg(); x.subtract(y); x.multiply(y)
    x.divide(2); x.true_divide(y); x.negative(); x.new_tensor([1, 2]); x.new_zeros(2, 3); x.new_zeros((2,)); x.new_ones(2)
    i.new_full((2,), 3); x.new_full((2,), 0.5); x.new_empty(2, 3).shape; x.float(); x.double(); x.half(); x.short(); x.int()
    x.long(); k.float(); m.byte(); m.char(); k.bool(); x.bool(); m.long(); m.float().sum(); x.float().dtype == T.float32
    x.unsqueeze(0); x.unsqueeze(-1); x.unsqueeze(dim=1); x.chunk(2, dim=1)[0]; x.unbind(1)[1]; x.narrow(1, 1, 2); x.t()
    x.mm(y.T); c.bmm(c.mT); x.mv(v); s.addmm(x, y.T); v.baddbmm(c.mT, c.mT[:, :3, :3]); x.addcmul(y, u)
    x.addcdiv(y, 1 + u * u)
    x.clamp(0, 1); x.clamp(min=0); x.clamp(max=0.5); x.clamp_min(0); x.clamp_max(1); (y * y).rsqrt(); x.frac()
    x.index_select(0, i); x.take_along_dim(n, 0); x.repeat_interleave(2, dim=1); x.clone(); T.ones(2).bernoulli()
    u.acos(); u.asin(); x.atan(); x.atan2(y); (1 + y * y).acosh(); x.asinh(); (u / 2).atanh(); x.absolute(); x.sgn()
    x.amax(1)
    x.amax(dim=0, keepdim=True); x.amin(-1); c.swapdims(0, 1); c.movedim(0, -1); x.eq(y); x.ne(0.5); x.not_equal(y); x.lt(y)
    x.less(y); x.le(y); x.less_equal(0.5); x.gt(y); x.greater(y); x.ge(y); x.greater_equal(y); k.remainder(4)
    x.remainder(y)
    x.floor_divide(y); k.bitwise_and(n); k.bitwise_or(n); k.bitwise_xor(n); k.bitwise_not(); c[:1].squeeze(dim=0)
    x.amax(); x.amax((0, 1)); x.amin(dim=[0, 1], keepdim=True); x.allclose(y); x.isclose(x); T.eye(2).multinomial(1)
    x.argwhere(); x.copysign(y); x.deg2rad(); x.diag(); x.diag(1); v.diag(-1); x.diagflat(); x.fliplr(); x.flipud()
    y.float_power(2); x.fmax(y); x.fmin(y); x.fmod(y); k.gcd(n); x.hardshrink(); x.hardshrink(1.0); x.heaviside(y); x.i0()
    v.inner(v); x.isfinite(); x.isinf(); x.isnan(); x.kron(s); k.lcm(n); x.ldexp(n); x.lerp(y, 0.25); x.logaddexp2(y)
    x.logcumsumexp(1); x.logcumsumexp(dim=0); x.logical_and(y); m.logical_not(); x.logical_or(y); m.logical_xor(m); v.outer(v)
    x.positive(); x.prelu(T.tensor([0.25])); x.rad2deg(); x.rot90(); x.rot90(1, (0, 1)); x.signbit(); x.sinc(); x.trunc()
    v.vdot(v)
    c.unfold(2, 2, 1); c.unfold(-1, 3, 2); c.unfold(0, 1, 1); s.inverse(); s.det(); s.adjoint(); x.diff(); x.diff(dim=0)
    x.nan_to_num(); x.quantile(0.5); x.quantile(0.25, dim=1, keepdim=True); x.index_add(1, i, y); x.index_add(1, i, y, alpha=2)
    x.is_contiguous(); x.t().is_contiguous(); x.is_cuda; k.unique(); i.bincount(); x.histc(4); n.count_nonzero(dim=0)
    T.complex(s, s.T).adjoint().imag
"""

FUNCTIONAL = """
    F.mse_loss(x, y); F.mse_loss(x, y, reduction="sum"); F.mse_loss(x, y, reduction="none"); F.mse_loss(x, y, weight=y * y)
    F.mse_loss(x, y, reduction="sum", weight=u); F.mse_loss(input=x, target=y); F.l1_loss(x, y)
    F.pad(x, (1, 2)); F.pad(x, (1, 0, 0, 2)); F.pad(x, (1, 1), "constant", 2.5); F.pad(x, (-1, 1), value=3.0)
    F.pad(c, (0, 1, 2, 0, 1, 1))
    F.pad(g, (1, 2, 0, 1), mode="reflect"); F.pad(g, (2, 0, 1, 1), "replicate"); F.pad(g, [1, 0, 0, 1], mode="circular")
    F.sigmoid(x); F.tanh(x); F.upsample(g, scale_factor=2); F.upsample(g, size=(3, 5), mode="bilinear", align_corners=True)
    F.upsample_nearest(g, scale_factor=2); F.upsample_bilinear(g, scale_factor=2); F.pad(k, (1, 1))
"""


def expressions(text: str) -> list[str]:
    """The expressions of a table."""
    return [each for line in text.splitlines() for each in map(str.strip, line.split("; ")) if each]


ALL = [*expressions(FUNCTIONS), *expressions(METHODS), *expressions(FUNCTIONAL)]
