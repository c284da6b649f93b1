"""Derivatives of what a solver finds, by the implicit function theorem.

F(x, p) = 0 defines x(p), whatever computes x. With A = dF/dx its derivative is dx = -A^-1 (dF/dp) dp. Two ops suffice: the
solution, and u = A^-1 g or A^-T g, whose rules are products with A^-1, A^-T and derivatives of F again. So every order follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.backward import outside
from ..core.grad_mode import enable_grad, no_grad
from ..core.graph import Array, Op
from ..core.remedies import publish
from ..core.tracing import NO_TRACER, trace
from ..core.versions import tick
from ..ops.lists import gather
from ..ops.real import check_callable
from ..scope import contained, silent
from ..tensor import Tensor
from .autograd import jvp, linearize, vjp
from .batching.call import looped, rule
from .jacobians import jacrev
from .pytree import leaves, rebuild
from .recorded_call import fresh, named_after
from .values import as_tensor

__all__ = ["implicit"]

DENSE = 512
"""Up to this number of unknowns, A is computed and inverted."""


def implicit(
    solve: Callable[..., Any], residual: Callable[..., Any], positive_definite: bool = False
) -> Callable[..., Any]:
    """The function x(p) = solve(p), with derivatives of every order, where residual(x, p) = 0 defines x.

    `solve` is any program: SciPy's root or minimize, an iteration to a fixed point, another language. It is called once, is not
    differentiated, and gets NumPy arrays in place of Tensors. With F the residual and A = dF/dx at the solution, the
    derivatives are those of the implicit function theorem::

        dx = -A^-1 (dF/dp) dp        p' = -(dF/dp)^T A^-T g

    A is computed and inverted for up to 512 unknowns. For more, SciPy solves the systems by GMRES, or conjugate gradients, with
    products of A and vectors (:func:`linearize`, :func:`vjp`). The derivatives are as accurate as the solution: an error d of x
    changes them by about d too.

    Args:
        solve: from the parameters, numbers and arrays in nested lists, tuples and dicts, to the solution: an array of any
            shape, a number, or the result object of ``scipy.optimize``, whose failure is an error.
        residual: from the solution, a Tensor, and the parameters to F, of the solution's shape. For the minimum of a
            function it is the gradient by x, ``lambda x, *p: tg.grad(f)(x, *p)``; for a fixed point, ``x - step(x, *p)``.
        positive_definite: A is symmetric and positive definite, as at a minimum: conjugate gradients serve.

    Returns:
        A function of the parameters, whose result is a Tensor if one of them is.

    Raises:
        RuntimeError: when called, if the solver reports a failure, or F is not finite at the solution; for a derivative, if A
            is singular there, or the iteration for a large system does not converge.
        TypeError: when called, if `residual` uses a Tensor that requires a gradient and is no parameter: its gradient would be
            lost.
        ValueError: when called, if F has another shape than the solution.
        ModuleNotFoundError: for a derivative of more than 512 unknowns, without SciPy.
    (Krantz and Parks, "The implicit function theorem", 2002; Blondel et al., "Efficient and modular implicit differentiation",
    2022.)

    >>> import numpy as np, tinygrad_cnn as tg
    >>> root = tg.implicit(lambda a: np.cbrt(a), lambda x, a: x**3 - a)
    >>> tg.grad(root)(8.0).item(), tg.grad(tg.grad(root))(8.0).item()  # a^(-2/3) / 3, -2 a^(-5/3) / 9
    (0.08333333333333333, -0.006944444444444444)
    """
    check_callable("implicit", solve)
    check_callable("implicit", residual)

    def solution(*parameters: Any) -> Any:
        problem = _Problem(solve, residual, parameters, bool(positive_definite))
        inputs = [leaf for _, leaf in leaves(parameters) if isinstance(leaf, Tensor)]
        if not inputs:
            return problem.solved(())
        x = _solution.function(inputs, problem=problem)
        if x.requires_grad:
            problem.check(x._array, [t._array for t in inputs])
        return x

    return named_after(solve, solution)


class _Hole:
    """The place of a Tensor among the parameters."""


class _Problem:
    """The equation of one call, with its parameters except Tensors."""

    def __init__(self, solve: Any, residual: Any, parameters: tuple[Any, ...], positive_definite: bool) -> None:
        self._solve, self._residual, self._positive_definite = solve, residual, positive_definite
        self._parameters = rebuild(
            parameters, [_Hole() if isinstance(leaf, Tensor) else leaf for _, leaf in leaves(parameters)]
        )
        self._inverted: tuple[Sequence[np.ndarray], np.ndarray, np.ndarray] | None = None  # for x, p: A, A^-1

    def _filled(self, inputs: Sequence[Any]) -> Any:
        """The parameters with these values in place of the Tensors."""
        each = iter(inputs)
        return rebuild(
            self._parameters,
            [next(each) if isinstance(leaf, _Hole) else leaf for _, leaf in leaves(self._parameters)],
        )

    def solved(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """x, a floating-point array of its own."""
        with no_grad(), trace(NO_TRACER):
            found = self._solve(*self._filled([np.array(a)[()] for a in inputs]))
        for failed, name in (("success", "x"), ("converged", "root")):
            if hasattr(found, failed) and hasattr(found, name):
                if not getattr(found, failed):
                    says = getattr(found, "message", getattr(found, "flag", ""))
                    raise RuntimeError(f"implicit: the solver found no solution: {says}")
                found = getattr(found, name)
                break
        x = np.array(found)
        if x.dtype.kind in "biu":
            x = x.astype(np.float64)
        if x.dtype.kind != "f":
            raise TypeError(f"implicit: the solution has dtype {x.dtype}; it must hold real numbers")
        return x

    def residual(self, x: Tensor, inputs: Sequence[Tensor]) -> Tensor:
        """F, in the dtype of x."""
        found = as_tensor(gather(self._residual(x, *self._filled(inputs)), "implicit"))
        if found.shape != x.shape:
            raise ValueError(
                f"implicit: the residual has shape {found.shape} for a solution of shape {x.shape}; there must be as many "
                "equations as unknowns, in one shape"
            )
        return found if found.dtype == x.dtype else found.astype(x.dtype)

    def check(self, x: np.ndarray, inputs: Sequence[np.ndarray]) -> None:
        """An error if F is not finite, or depends on a Tensor that is no parameter."""
        with enable_grad(), trace(NO_TRACER):
            given = [Tensor._of(a) for a in (x, *inputs)]
            given = [fresh(t) if t.dtype.kind == "f" else t for t in given]
            known, since = {t._node for t in given}, tick()
            found = self.residual(given[0], given[1:])
        if found._node is not None and not outside([found._node], since) <= known:
            raise TypeError(
                "implicit: `residual` uses a Tensor that requires a gradient and is no parameter, whose gradient would be "
                "lost; pass it to the function as a parameter, or detach() it"
            )
        if not np.isfinite(found._array).all():
            raise RuntimeError("implicit: the residual is not finite at the solution")

    def along(self, x: Tensor, inputs: Sequence[Tensor], t: Tensor) -> Tensor:
        """A t."""
        return jvp(lambda x: self.residual(x, inputs), (x,), (t,))[1]  # type: ignore[no-any-return]

    def inverse(self, g: np.ndarray, x: np.ndarray, inputs: Sequence[np.ndarray], transposed: bool) -> np.ndarray:
        """u with A u = g, or with A^T u = g."""
        if not x.size:
            return np.zeros_like(x)
        with no_grad(), trace(NO_TRACER):
            if x.size > DENSE:
                return self._iterated(g, x, inputs, transposed)
            a, inverse = self._dense([x, *inputs])
            if transposed:
                a, inverse = a.T, inverse.T
            right = g.reshape(-1).astype(a.dtype)
            u: np.ndarray = inverse @ right
            u += inverse @ (right - a @ u)  # what the inverse is less accurate than a solution
            return u.reshape(x.shape).astype(x.dtype)

    def _function(self, arrays: Sequence[np.ndarray]) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """F as a function of x alone, and x."""
        x, *inputs = [Tensor._of(a) for a in arrays]
        return lambda x: self.residual(x, inputs), x

    def _dense(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """A and A^-1, kept: a Jacobian of the solution takes one product for each row."""
        if self._inverted is not None and all(a is b for a, b in zip(arrays, self._inverted[0], strict=True)):
            return self._inverted[1], self._inverted[2]
        f, x = self._function(arrays)
        a = jacrev(f)(x).numpy().reshape(x.size, x.size).astype(np.float64)
        try:
            inverse = contained(np.linalg.inv, a)
            condition = float(np.linalg.norm(a, 1) * np.linalg.norm(inverse, 1))
        except np.linalg.LinAlgError:
            condition = np.inf
        if not condition < 1 / np.finfo(x.dtype).eps:
            raise RuntimeError(
                "implicit: the derivative of the residual by the solution is singular, so the solution has no derivative "
                "there"
            )
        self._inverted = arrays, a, inverse
        return a, inverse

    def _iterated(self, g: np.ndarray, x: np.ndarray, inputs: Sequence[np.ndarray], transposed: bool) -> np.ndarray:
        try:
            from scipy.sparse.linalg import LinearOperator, cg, gmres
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"implicit: SciPy solves systems of more than {DENSE} unknowns; pip install 'tinygrad_cnn[scipy]'"
            ) from error
        f, start = self._function([x, *inputs])
        transform = vjp(f, start)[1] if transposed else linearize(f, start)[1]

        def product(v: np.ndarray) -> np.ndarray:
            found: Any = transform(v.reshape(x.shape).astype(x.dtype))
            return (found[0] if transposed else found).numpy().reshape(-1).astype(np.float64)  # type: ignore[no-any-return]

        operator = LinearOperator((x.size, x.size), matvec=product, dtype=np.float64)
        right = g.reshape(-1).astype(np.float64)
        wanted = 1e-11 if x.dtype.itemsize > 4 else 1e-6
        with silent:  # a breakdown shows in what is left
            if self._positive_definite:
                u, _ = cg(operator, right, rtol=wanted, atol=0.0)
            else:
                u, _ = gmres(operator, right, rtol=wanted, atol=0.0, restart=60)
        left = np.linalg.norm(right - product(u))
        if not left <= 100 * wanted * np.linalg.norm(right):
            method = "conjugate gradients" if self._positive_definite else "GMRES"
            raise RuntimeError(
                f"implicit: {method} did not converge; what is left is {left:.2g} of {np.linalg.norm(right):.2g}"
            )
        return u.reshape(x.shape).astype(x.dtype)  # type: ignore[no-any-return]


def _solved(*inputs: Array, problem: _Problem) -> Array:
    """y = x with F(x, inputs) = 0.   inputs' = -(dF/dinputs)^T A^-T g"""
    return problem.solved(inputs)


def _inverse(*inputs: Array, problem: _Problem, transposed: bool) -> Array:
    """y = A^-1 g, or A^-T g if `transposed`. The inputs are g, x and the parameters.

    A y = g gives A dy = dg - dA y. So with w = A^-T h for the incoming gradient h, g' = w, and x' and p' are those of
    -<w, A y>; if `transposed`, w = A^-1 h and they are those of -<y, A w>.
    """
    g, x, *parameters = inputs
    return problem.inverse(g, x, parameters, transposed)


_solution, _inverted = Op(_solved), Op(_inverse)
_solution.name, _inverted.name = "implicit", "implicit_inverse"  # in errors and pictures


def _solution_rule(
    g: Array, inputs: tuple[Array, ...], y: Array, problem: _Problem, parents: tuple[Any, ...]
) -> list[Any]:
    h, x, *parameters = _in_tensors([g, y, *inputs])
    u = _inverted.function([h, x, *parameters], problem=problem, transposed=True)
    return _like(g, _pulled(lambda *p: problem.residual(x, p), parameters, parents, -u))


def _solution_forward(t: tuple[Any, ...], inputs: tuple[Array, ...], y: Array, problem: _Problem) -> Array:
    x, *parameters = _in_tensors([y, *inputs])
    tangents = [each if each is None else Tensor._of(each) if isinstance(each, np.ndarray) else each for each in t]
    slope = jvp(lambda *p: problem.residual(x, p), parameters, tangents)[1]
    dx = -_inverted.function([slope, x, *parameters], problem=problem, transposed=False)
    return dx if any(isinstance(each, Tensor) for each in t) else dx._array


def _inverse_rule(
    g: Array,
    inputs: tuple[Array, ...],
    y: Array,
    problem: _Problem,
    transposed: bool,
    parents: tuple[Any, ...],
) -> list[Any]:
    h, u, _, x, *parameters = _in_tensors([g, y, *inputs])
    w = _inverted.function([h, x, *parameters], problem=problem, transposed=not transposed)
    left, right = (u, w) if transposed else (w, u)
    found = _pulled(lambda x, *p: problem.along(x, p, right), [x, *parameters], parents[1:], -left)
    return _like(g, [w if parents[0] is not None else None, *found])


_solution.joint_vjp("inputs")(_solution_rule)
_solution.jvp(inputs=_solution_forward)
_inverted.joint_vjp("inputs")(_inverse_rule)
rule(_solution.function, _inverted.function)(looped)


def _in_tensors(values: Sequence[Any]) -> list[Tensor]:
    return [value if isinstance(value, Tensor) else Tensor._of(np.asarray(value)) for value in values]


def _like(g: Array, found: Sequence[Any]) -> list[Any]:
    """Gradients as Tensors or arrays, as g is."""
    return [t._array if isinstance(t, Tensor) and not isinstance(g, Tensor) else t for t in found]


def _pulled(f: Callable[..., Tensor], values: Sequence[Tensor], parents: Sequence[Any], u: Tensor) -> list[Any]:
    """u^T df/dvalue for each value that has a parent, else None."""
    wanted = [value for value, parent in zip(values, parents, strict=True) if parent is not None]
    if not wanted:
        return [None] * len(values)

    def of_wanted(*given: Tensor) -> Tensor:
        each = iter(given)
        return f(*[value if parent is None else next(each) for value, parent in zip(values, parents, strict=True)])

    found = iter(vjp(of_wanted, *wanted)[1](u))
    return [None if parent is None else next(found) for parent in parents]


publish(globals())
