"""Initialization of parameters in place, under PyTorch's names; `rng` stands for its `generator`.

Each function writes into a leaf Tensor, real or complex, and returns it. Numbers are drawn from `rng`, a generator or a seed,
or by default from the library's generator, see :func:`~tinygrad_cnn.manual_seed`.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..checks import Check, checked, finite, non_negative, number, one_of, whole
from ..core.remedies import publish
from ..ops.qr import qr_packed
from ..ops.random import Seed, generator
from ..tensor import Tensor

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_", "orthogonal_",
    "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Tensor])

CHECKS: dict[str, Check] = {
    "a": finite, "b": finite, "mean": finite, "gain": finite, "std": non_negative, "mode": one_of("fan_in", "fan_out"),
    "groups": whole(1),
}  # fmt: skip
POSITIVE = number("a finite number above 0", lambda x: 0 < x < math.inf)


def _checking(**checks: Check) -> Callable[[F], F]:
    """A decorator of initializers that checks the arguments: the Tensor, and those that `checks` or CHECKS name."""

    def declare(function: F) -> F:
        signature, name = inspect.signature(function), function.__name__
        table = {n: check for n, check in {**CHECKS, **checks}.items() if n in signature.parameters}

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Tensor:
            try:
                given = signature.bind(*args, **kwargs).arguments
            except TypeError as error:
                raise TypeError(f"{name}: {error}; its parameters are {', '.join(signature.parameters)}") from None
            tensor = given["tensor"]
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"{name}: `tensor` is of {type(tensor).__name__}; it must be a Tensor, which is written in place"
                )
            if "rng" in signature.parameters and tensor.dtype.kind not in ("f" if name == "trunc_normal_" else "fc"):
                raise TypeError(f"{name}: `tensor` is {tensor.dtype}; numbers are drawn for floating-point Tensors")
            checked(name, {n: check for n, check in table.items() if n in given}, given)
            return function(*args, **kwargs)

        return call  # type: ignore[return-value]

    return declare


def _drawn(tensor: Tensor, draw: Callable[[tuple[int, ...]], Any]) -> Tensor:
    """Write what `draw` returns for the shape; into a complex Tensor, the real and imaginary parts that it returns."""
    if tensor.dtype.kind != "c":
        return _write(tensor, draw(tensor.shape))
    return _write(tensor, draw((*tensor.shape, 2)).view(np.complex128)[..., 0])


def _write(tensor: Tensor, values: Any) -> Tensor:
    return tensor.copy_(np.asarray(values, tensor.dtype))


# Independent of the shape


@_checking()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, rng: Seed = None) -> Tensor:
    """Draw from the uniform distribution between a and b, and so both parts of complex numbers. ValueError if a > b."""
    if a > b:
        raise ValueError(
            f"uniform_: `a` is {a!r} and `b` is {b!r}; numbers are drawn from a to b, so a must not be above b"
        )
    return _drawn(tensor, lambda shape: generator(rng).uniform(a, b, shape))


@_checking()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, rng: Seed = None) -> Tensor:
    """Draw from the normal distribution. Both parts of complex numbers have this mean, and half of the variance."""
    deviation = std / math.sqrt(2) if tensor.dtype.kind == "c" else std
    return _drawn(tensor, lambda shape: generator(rng).normal(mean, deviation, shape))


@_checking(std=POSITIVE)
def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, rng: Seed = None
) -> Tensor:
    """Draw from the normal distribution truncated to [a, b]. ValueError if less than a hundredth of it lies there."""
    low, high = (math.erf((bound - mean) / (std * math.sqrt(2))) for bound in (a, b))
    share = (high - low) / 2
    if share < 0.01:
        found = f"only {share:.1e} of the distribution lies between `a` {a!r} and `b` {b!r}"
        raise ValueError(f"trunc_normal_: {found}; widen them, or use uniform_")
    source = generator(rng)
    values = np.empty(math.prod(tensor.shape))
    missing = np.ones(values.shape, bool)
    while count := np.count_nonzero(missing):
        values[missing] = source.normal(mean, std, count)
        missing = (values < a) | (values > b)
    return _write(tensor, np.clip(values.astype(tensor.dtype), a, b).reshape(tensor.shape))


@_checking()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Set every element to `val`."""
    return tensor.copy_(val)


@_checking()
def ones_(tensor: Tensor) -> Tensor:
    """Set every element to 1."""
    return tensor.copy_(1)


@_checking()
def zeros_(tensor: Tensor) -> Tensor:
    """Set every element to 0."""
    return tensor.copy_(0)


# Scaled by the numbers of inputs and outputs

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor for a layer's weights that compensates for how the activation after it changes the standard deviation.

    Args:
        nonlinearity: "linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu" or the name of a convolution; else a ValueError.
        param: the slope of leaky_relu; 0.01 by default.
    """
    if not isinstance(nonlinearity, str):
        raise TypeError(f"calculate_gain: `nonlinearity` is {nonlinearity!r:.60}; it must be the name of an activation")
    if param is not None:
        param = checked("calculate_gain", {"param": finite}, {"param": param})["param"]
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity.startswith("conv"):
        return 1.0
    if nonlinearity not in GAINS:
        names = "'linear', 'sigmoid', 'tanh', 'relu', 'leaky_relu' or 'selu'"
        raise ValueError(f"calculate_gain: `nonlinearity` is {nonlinearity!r}; it must be {names}")
    return GAINS[nonlinearity]


def fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """The number of inputs of each output, and of outputs of each input, for a weight (outputs, inputs, *window)."""
    if tensor.ndim < 2:
        raise ValueError(f"{name}: the Tensor has shape {tensor.shape}; it must have two axes or more, as weights have")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def _fan(name: str, tensor: Tensor, mode: str) -> int:
    return max(fans(name, tensor)[mode == "fan_out"], 1)  # a weight without elements has no inputs


@_checking()
def xavier_uniform_(tensor: Tensor, gain: float = 1.0, rng: Seed = None) -> Tensor:
    """Draw uniformly from +-gain sqrt(6 / (fan_in + fan_out)).

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """
    bound = gain * math.sqrt(6 / max(sum(fans("xavier_uniform_", tensor)), 1))
    return uniform_(tensor, -bound, bound, rng)


@_checking()
def xavier_normal_(tensor: Tensor, gain: float = 1.0, rng: Seed = None) -> Tensor:
    """Draw normally with standard deviation gain sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(sum(fans("xavier_normal_", tensor)), 1)), rng)


@_checking()
def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", rng: Seed = None
) -> Tensor:
    """Draw uniformly from +-gain sqrt(3 / fan), with the gain of :func:`calculate_gain`.

    He et al., "Delving deep into rectifiers", 2015.

    Args:
        tensor: (outputs, inputs, ...).
        a: the slope of leaky_relu, if that is the activation.
        mode: "fan_in" preserves the variance in the forward pass, "fan_out" in the backward pass.
        nonlinearity: the activation that follows.
        rng: a generator or a seed.

    Raises:
        ValueError: for fewer than two axes, or another mode or activation.
    """
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / _fan("kaiming_uniform_", tensor, mode))
    return uniform_(tensor, -bound, bound, rng)


@_checking()
def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", rng: Seed = None
) -> Tensor:
    """Draw normally with standard deviation gain / sqrt(fan); arguments as for :func:`kaiming_uniform_`."""
    std = calculate_gain(nonlinearity, a) / math.sqrt(_fan("kaiming_normal_", tensor, mode))
    return normal_(tensor, 0.0, std, rng)


# Structured


@_checking()
def orthogonal_(tensor: Tensor, gain: float = 1.0, rng: Seed = None) -> Tensor:
    """Draw a matrix with orthonormal rows, or columns if there are fewer, and multiply it by `gain`; a complex one is unitary.

    All axes after the first count as columns. ValueError for fewer than two axes.
    Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", arXiv:1312.6120.
    """
    fans("orthogonal_", tensor)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    long = max(rows, columns)
    numbers = Tensor(np.zeros((long, min(rows, columns)), np.complex128 if tensor.dtype.kind == "c" else np.float64))
    packed: Any = qr_packed(normal_(numbers, rng=rng).numpy())
    q, r = packed[:long], packed[long:]
    q *= np.sign(np.diagonal(r).real)  # else the distribution is not uniform
    return _write(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


@_checking()
def eye_(tensor: Tensor) -> Tensor:
    """Write the identity matrix. ValueError unless there are two axes."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: the Tensor has shape {tensor.shape}; it must have two axes")
    return _write(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


@_checking()
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Write filters (O, C, ...) that copy input channel i to output channel i in each group: 1 at the centre, else 0.

    ValueError unless there are three to five axes, of which `groups` divides the first.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_: the Tensor has shape {tensor.shape}; filters have three to five axes")
    if tensor.shape[0] % groups:
        raise ValueError(f"dirac_: `groups` is {groups}; it must divide the {tensor.shape[0]} filters")
    filters = np.zeros((groups, tensor.shape[0] // groups, *tensor.shape[1:]))
    centre = tuple(n // 2 for n in tensor.shape[2:])
    for group in filters:
        for i in range(min(group.shape[:2])):
            group[(i, i, *centre)] = 1
    return _write(tensor, filters.reshape(tensor.shape))


publish(globals())
