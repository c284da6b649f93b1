"""Random small programs in the style of ``autograd.numpy``: where HIPS/autograd is installed, the drop-in must agree with it.

``python -m tests.dependents.programs [programs] [first seed]`` compares both; ``tests/test_drop_in.py`` compares the drop-in
with differences.
"""

from __future__ import annotations

import random
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np

import tinygrad_cnn.extra.autograd.misc.optimizers  # noqa: F401 - autograd.misc.optimizers
import tinygrad_cnn.extra.autograd.numpy as ours_numpy
from tinygrad_cnn.extra import autograd as ours_autograd

LINES = {
    "s": """
        np.sum({v})
        np.sum({v} * {w})
        np.dot({v}, {w})
        np.inner({v}, {w})
        {v} @ {w}
        np.mean({m})
        np.std({v})
        np.var({m})
        np.max({v})
        np.min({v})
        np.amax({m})
        np.prod({v})
        {v}[1]
        {v}[-1] * {s}
        {m}[0, 2]
        {s} * {t}
        {s} / (1 + {t} ** 2)
        np.sin({s})
        np.exp(-({s} ** 2))
        np.tanh({s})
        np.where({s} > 0.1, {s} ** 2, np.cos({s}))
        {s} if {s} > {t} else {t} * 2
        np.trace({m})
        np.sum({m} ** 2)
        np.linalg.norm({v})
        np.linalg.norm({m})
        np.linalg.norm({v}, ord=3)
        np.linalg.det({m})
        np.linalg.slogdet({m} @ {m}.T + 2 * np.eye(3))[1]
        np.sum(np.linalg.inv({m} @ {m}.T + 2 * np.eye(3)))
        np.einsum("ij,ij->", {m}, {n})
        np.einsum("i,ij,j", {v}, {m}, {w})
        np.tensordot({m}, {n}, 2)
        np.log(np.sum(np.exp({v})))
        np.logaddexp({s}, {t})
        sum([{s}, {t}, {v}[0]])
        len({v}) * {s}
        np.vdot({v}, {w})
        np.average({v})
        np.sqrt(1 + {s} ** 2)
        wave({s}, {t})
        wave({s}, 0.5, k=2.0)
        powers({s})[0] * powers({t})[1]
        product({{"a": {s}, "b": [{t}, {v}]}})
        np.sum(wave({v}, {w}))
    """,
    "v": """
        np.sin({v})
        np.tanh({v}) * {w}
        np.exp(-({v} ** 2))
        np.log(1 + {v} ** 2)
        np.sqrt(1 + {v} * {v})
        np.where({v} > 0.1, {v} ** 2, np.sin({w}))
        np.maximum({v}, {w})
        np.minimum({v}, {s})
        np.fmax({v}, {w})
        np.abs({v})
        -{v} + {s}
        {s} - {v}
        {v} / (2 + {w} ** 2)
        2.0 ** {v}
        (1 + {v} ** 2) ** {w}
        np.power(1 + {v} ** 2, 1.5)
        np.logaddexp({v}, {w})
        np.arctan2({v}, 2 + {w} ** 2)
        np.cumsum({v})
        np.concatenate(({v}[1:], {w}[:1]))
        np.concatenate([{v}, {w}])[1:4]
        np.append({v}[:2], {s})
        {v}[::-1]
        {v}[np.array([2, 0, 0])]
        {v}[[0, 2, 1]]
        np.array([{s}, {t}, {v}[0]])
        np.array([{v}[i] * {w}[i] for i in range(3)])
        np.stack([{s}, {t}, {s}])
        np.hstack([{s}, {v}[:2]])
        np.dot({m}, {v})
        {m} @ {v}
        {v} @ {m}
        np.matmul({m}, {v})
        np.einsum("ij,j->i", {m}, {v})
        np.einsum("ij->j", {m})
        np.sum({m}, axis=1)
        np.mean({m}, axis=0)
        np.max({m}, axis=0)
        np.min({m}, axis=1)
        np.std({m}, axis=0)
        np.var({m}, axis=1)
        np.prod({m}, axis=0)
        np.diag({m})
        np.diagonal({m})
        {m}[1]
        {m}[:, 0]
        {m}[np.arange(3), [2, 1, 0]]
        np.reshape({m}, (9,))[2:5]
        {m}.flatten()[:3]
        {m}.ravel()[::4]
        {m}.T[0]
        np.linalg.solve({m} @ {m}.T + 2 * np.eye(3), {v})
        np.linalg.norm({m}, axis=1)
        np.linalg.eigh({m} + {m}.T)[0]
        np.sort({v})
        np.roll({v}, 1)
        np.diff(np.append({v}, {s}))
        np.clip({v}, -0.5, 0.5)
        np.squeeze({v}[None, :])
        np.expand_dims({v}, 0)[0]
        np.repeat({s}, 3)
        np.repeat({v}, 2)[1:4]
        np.tile({v}, 2)[2:5]
        np.flipud({v})
        np.outer({v}, {w})[1]
        np.kron({v}, {w})[3:6]
        np.ravel({m})[3:6]
        np.full(3, {s})
        np.ones(3) * {s}
        np.real({v})
        np.sinc({v})
        np.sign({v}) * {v}
        np.floor({v}) + {v}
        np.expm1({v} / 3)
        np.log1p({v} ** 2)
        np.square({v})
        np.reciprocal(2 + {v} ** 2)
        np.sinh({v} / 2)
        np.cosh({v} / 2)
        np.arctan({v})
        np.arcsinh({v})
        np.cross({v}, {w})
        np.moveaxis({m}, 0, 1)[2]
        np.tensordot({m}, {v}, 1)
        np.nan_to_num({v})
        np.array({v})
        np.atleast_1d({v})
        np.pad({v}[:2], (0, 1), mode="constant")
        np.select([{v} > 0.3, {v} > -0.3], [{w}, {v}])
        np.mod({v}, 0.7)
        wave({v}, {w})
        wave({v}, np.ones(3), k=0.5)
        powers({v})[1] - {w}
        np.concatenate([{v}[:2], [0.7]])
        {v} * [0.1, 0.2, 0.3]
        {v} % 0.7
    """,
    "m": """
        np.outer({v}, {w})
        {v}[:, None] * {w}[None, :]
        {v}[:, np.newaxis] - {w}
        {m} * {v}
        {m} - {s}
        {m} + {n}.T
        {m} @ {n}
        np.dot({m}, {n})
        np.matmul({m}, {n})
        np.einsum("ij,jk->ik", {m}, {n})
        np.einsum("ij,kj->ki", {m}, {n})
        np.tanh({m})
        np.sin({m}) * {s}
        np.where({m} > 0, {m} * 2, {n})
        np.transpose({m})
        np.swapaxes({m}, 0, 1)
        {m}[::-1]
        {m}[:, [2, 0, 1]]
        np.diag({v})
        np.triu({m})
        np.tril({m}, -1)
        np.linalg.inv({m} @ {m}.T + 2 * np.eye(3))
        np.linalg.cholesky({m} @ {m}.T + 2 * np.eye(3))
        np.linalg.solve({m} @ {m}.T + 2 * np.eye(3), {n})
        np.linalg.pinv({m} @ {m}.T + 2 * np.eye(3))
        np.array([{v}, {w}, {v}])
        np.array([[{s}, {t}, 1.0], [0.0, {s}, {t}], {v}])
        np.vstack([{v}, {w}, {v}])
        np.stack([{v}, {w}, {v}], axis=1)
        np.column_stack([{v}, {w}, {v}])
        np.concatenate([{m}[:1], {n}[1:]], axis=0)
        np.cumsum({m}, axis=1)
        np.reshape(np.ravel({m}), (3, 3))
        {m}.reshape(-1, 3)
        np.rot90({m})
        np.fliplr({m})
        np.tile({v}, (3, 1))
        np.repeat({v}[None], 3, axis=0)
        np.broadcast_to({v}, (3, 3)) * {m}
        np.roll({m}, 1, axis=1)
        np.kron({m}[:1, :1], {n})
        np.exp(-({m} ** 2))
        np.split(np.concatenate([{m}, {n}]), 2)[1]
        np.maximum({m}, {v})
        np.sum({m}[:, :, None] * {n}[None], axis=1)
        {m} / np.sum(np.abs({m}) + 1, axis=1, keepdims=True)
        {m} - np.mean({m}, axis=0, keepdims=True)
        np.sort({m}, axis=1)
        wave({m}, {n})
        powers({m})[0]
    """,
}
"""What a number, a vector of 3 and a 3 x 3 matrix may be assigned, by earlier ones of these kinds."""

CHOICES = {kind: [line.strip() for line in text.strip().splitlines()] for kind, text in LINES.items()}
SLOTS = {"s": "s", "t": "s", "v": "v", "w": "v", "m": "m", "n": "m"}


def source(seed: int, length: int | None = None) -> str:
    """The text of a function ``f(x, y)`` of a vector and a 3 x 3 matrix, whose result is a number."""
    rng = random.Random(seed)
    known = {"s": ["x[0]", "y[1, 1]"], "v": ["x", "y[0]"], "m": ["y"]}
    lines = []
    for i in range(length or rng.randint(3, 7)):
        kind = rng.choice("svvmm")
        expression = rng.choice(CHOICES[kind]).format(**{k: rng.choice(known[of][-3:]) for k, of in SLOTS.items()})
        if rng.random() < 0.1:
            lines += [
                f"{kind}{i} = 0.0",
                "for j in range(1, 3):",
                f"    {kind}{i} = {kind}{i} * 0.5 + j * ({expression})",
            ]
        else:
            lines.append(f"{kind}{i} = {expression}")
        known[kind].append(f"{kind}{i}")
    last = {kind: names[-1] for kind, names in known.items()}
    lines.append(f"return np.sum(np.tanh({last['m']})) + np.sum(np.sin({last['v']})) + np.tanh({last['s']})")
    return "def f(x, y):\n" + "\n".join(f"    {line}" for line in lines)


def primitives(package: Any, namespace: Any) -> dict[str, Any]:
    """Functions of arrays with rules of their own, by a package's `extend`; without one, the functions alone."""

    def wave(x: Any, y: Any, k: float = 1.0) -> Any:
        return np.sin(k * x) * y

    def powers(x: Any) -> Any:
        return x**2, x**3

    def product(p: Any) -> Any:
        return p["a"] * p["b"][0] * np.sum(p["b"][1])

    if package is None:
        return {"wave": wave, "powers": powers, "product": product}
    define, sin, cos = package.extend.defvjp, namespace.sin, namespace.cos
    wave, powers, product = map(package.extend.primitive, (wave, powers, product))
    define(
        wave,
        lambda ans, x, y, k=1.0: lambda g: g * k * cos(k * x) * y,
        lambda ans, x, y, k=1.0: lambda g: g * sin(k * x),
    )
    package.extend.defjvp(
        wave, lambda g, ans, x, y, k=1.0: g * k * cos(k * x) * y, lambda g, ans, x, y, k=1.0: g * sin(k * x)
    )
    define(powers, lambda ans, x: lambda g: g[0] * 2 * x + g[1] * 3 * x**2)

    def by_parts(ans: Any, p: Any) -> Any:
        a, b, c = p["a"], p["b"][0], p["b"][1]
        return lambda g: {"a": g * b * namespace.sum(c), "b": [g * a * namespace.sum(c), g * a * b * namespace.ones(3)]}

    define(product, by_parts)
    return {"wave": wave, "powers": powers, "product": product}


def function(text: str, namespace: Any, package: Any = None) -> Any:
    """The function of a program, with the `np` of this namespace, and the primitives of a package."""
    found = {"np": namespace, **primitives(package, namespace)}
    exec(text, found)
    return found["f"]


def arguments(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The arguments of a program."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=3), rng.normal(size=(3, 3))


OPERATORS = {
    "value_and_grad": lambda a, f, x, y: a.value_and_grad(f)(x, y),
    "grad by both": lambda a, f, x, y: a.grad(f, (0, 1))(x, y),
    "grad by the second": lambda a, f, x, y: a.grad(f, 1)(x, y),
    "grad by a dict": lambda a, f, x, y: a.grad(lambda p: f(p["x"], p["y"]))({"x": x, "y": y}),
    "grad by a nested list": lambda a, f, x, y: a.grad(lambda p: f(p[0], p[1]["y"]) * p[1]["b"])(
        [x, {"y": y, "b": 0.5}]
    ),
    "elementwise_grad": lambda a, f, x, y: a.elementwise_grad(lambda z: f(z, y) * z)(x),
    "jacobian": lambda a, f, x, y: a.jacobian(lambda z: z * f(z, y))(x),
    "hessian": lambda a, f, x, y: a.hessian(f)(x, y),
    "jacobian of grad": lambda a, f, x, y: a.jacobian(a.grad(f), 1)(x, y),
    "hessian_vector_product": lambda a, f, x, y: a.hessian_vector_product(f)(x, y, x + 1),
    "make_vjp": lambda a, f, x, y: a.make_vjp(lambda z: f(z, y) * z)(x)[0](x + 1),
    "make_jvp": lambda a, f, x, y: a.make_jvp(f)(x, y)(x + 1),
    "grad of grad": lambda a, f, x, y: a.grad(lambda z: (a.grad(f)(z, y) ** 2).sum())(x),
    "grad of a checkpoint": lambda a, f, x, y: a.grad(a.checkpoint(f), (0, 1))(x, y),
    "hessian of a checkpoint": lambda a, f, x, y: a.hessian(a.checkpoint(lambda z: f(z, y)))(x),
    "flattened": lambda a, f, x, y: flattened(a, f, {"y": y, "x": x}),
    "adam": lambda a, f, x, y: a.misc.optimizers.adam(
        lambda p, i: a.grad(lambda p: f(p["x"], p["y"]) ** 2)(p), {"y": y, "x": x}, num_iters=2
    )["x"],
    "third": lambda a, f, x, y: a.grad(lambda t: a.grad(lambda u: a.grad(lambda s: f(x * s, y))(u))(t))(1.0),
    "jacobian in a loss": lambda a, f, x, y: a.grad(lambda z: (a.jacobian(lambda u: u * f(u, y))(z) ** 2).sum())(x),
    "make_ggnvp": lambda a, f, x, y: a.make_ggnvp(lambda z: z * f(z, y))(x)(x + 1),
    "make_hvp": lambda a, f, x, y: a.make_hvp(f)(x, y)[0](x + 1),
}
"""What is compared: functions of a package `autograd`, a program and its arguments."""


def flattened(a: Any, f: Any, p: Any) -> Any:
    """The gradient by the vector of nested arguments."""
    vector, unflatten = a.misc.flatten(p)
    return a.grad(lambda v: f(unflatten(v)["x"], unflatten(v)["y"]))(vector)


def flat(result: Any) -> np.ndarray:
    """All numbers of a nested result."""
    if isinstance(result, dict):
        return flat([result[name] for name in sorted(result)])
    if isinstance(result, list | tuple):
        return np.concatenate([flat(part) for part in result])
    return np.ravel(np.asarray(result, dtype=np.float64))


def outcome(package: Any, namespace: Any, text: str, operator: str, seed: int) -> np.ndarray | Exception:
    """The numbers, or the error."""
    try:
        return flat(OPERATORS[operator](package, function(text, namespace, package), *arguments(seed)))
    except Exception as error:
        return error


def compared(theirs: SimpleNamespace, seed: int) -> tuple[str, str]:
    """A verdict on a program, "same", "differs", "fails" or "fails there", and the case."""
    text = source(seed)
    operator = list(OPERATORS)[seed % len(OPERATORS)]
    expected = outcome(theirs.package, theirs.numpy, text, operator, seed)
    found = outcome(ours_autograd, ours_numpy, text, operator, seed)
    case = f"seed {seed}, {operator}\n{text}\n{expected!r}\n{found!r}"
    if isinstance(expected, Exception) or not np.isfinite(expected).all():
        return "fails there", case
    if isinstance(found, Exception):
        return "fails", case
    if found.shape != expected.shape:
        return "differs", case
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    return ("same" if np.abs(found - expected).max(initial=0) <= 1e-12 * scale else "differs"), case


def main(count: int = 200, first: int = 0) -> int:
    """Compare programs, print those that differ, and return their number."""
    import autograd
    import autograd.extend
    import autograd.misc.optimizers
    import autograd.numpy

    theirs = SimpleNamespace(package=autograd, numpy=autograd.numpy)
    verdicts: dict[str, int] = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for seed in range(first, first + count):
            verdict, case = compared(theirs, seed)
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
            if verdict in ("fails", "differs"):
                print(f"-- {verdict}: {case}\n")
    print(", ".join(f"{n} {verdict}" for verdict, n in sorted(verdicts.items())))
    return verdicts.get("fails", 0) + verdicts.get("differs", 0)


if __name__ == "__main__":
    sys.exit(bool(main(*map(int, sys.argv[1:]))))
