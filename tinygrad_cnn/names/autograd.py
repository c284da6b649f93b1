"""Our names for the names of HIPS/autograd that are not NumPy's."""

from __future__ import annotations

AUTOGRAD = {
    "tg.grad(lambda x: f(x).sum())": "elementwise_grad deriv", "tg.vjp(f, x)": "make_vjp vector_jacobian_product",
    "tg.jvp(f, (x,), (v,))": "make_jvp", "tg.hvp(f, (x,), (v,))": "make_hvp hessian_vector_product hessian_tensor_product",
    "tg.jacobian(f)": "tensor_jacobian_product", "tg.value_and_grad": "grad_and_aux", "tg.grad(f, argnums=...)":
    "grad_named multigrad_dict", "tg.op": "primitive notrace_primitive", "f.vjp(a=rule) of an op, see tg.op": "defvjp defjvp",
    "(Tensors are real: take the real and imaginary parts as two Tensors)": "holomorphic_grad",
    "tg.linearize and tg.vjp": "make_ggnvp",
}  # fmt: skip
"""Names of ``autograd`` and ``autograd.extend``."""

KEYWORDS = {"argnum": "argnums"}
"""Keywords of ``autograd``, and ours."""
