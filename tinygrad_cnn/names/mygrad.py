"""Our names for MyGrad's names that are not NumPy's."""

from __future__ import annotations

_GUARDED = "(memory needs no guard: a graph whose saved values were overwritten refuses to run backward)"

MYGRAD = {
    "tg.Tensor(data, requires_grad=True)": "astensor", "tg.no_grad": "no_autodiff no_grad_funcs",
    "tg.functional, tg.nn": "nnet", "1 / tg.tan(x)": "cot", "1 / tg.cos(x)": "sec", "1 / tg.sin(x)": "csc",
    "1 / tg.tanh(x)": "coth", "1 / tg.cosh(x)": "sech", "1 / tg.sinh(x)": "csch", "tg.arctan(1 / x)": "arccot",
    "tg.arctanh(1 / x)": "arccoth", "tg.arcsin(1 / x)": "arccsc", "tg.arcsinh(1 / x)": "arccsch", "tg.arccos(1 / x)": "arcsec",
    "x + y + z": "add_sequence", "x * y * z": "multiply_sequence", "tg.linalg.multi_dot": "multi_matmul",
    "tg.unfold of images, or np.lib.stride_tricks on arrays": "sliding_window_view", "tg.op": "execute_op operation_base",
    _GUARDED: "mem_guard_on mem_guard_off mem_guard_active turn_memory_guarding_on turn_memory_guarding_off",
}  # fmt: skip
"""Names of ``mygrad``."""

TENSOR = {
    "x.zero_grad()": "null_grad null_gradients", "not x.requires_grad": "constant", "x.is_leaf, or tg.show(x)": "creator",
    "x.numpy().base": "base", "(backward frees the graph)": "clear_graph",
}  # fmt: skip
"""Names of ``mygrad.Tensor``."""

NNET = {
    "tg.functional.hardtanh": "hard_tanh", "tg.log_softmax": "logsoftmax", "tg.softsign": "soft_sign",
    "tg.batch_norm": "batchnorm", "tg.conv2d, and of other dimensions likewise": "conv_nd", "tg.max_pool2d": "max_pool",
    "tg.cross_entropy": "softmax_crossentropy", "tg.nll_loss": "negative_log_likelihood", "nn.init.xavier_normal_":
    "glorot_normal", "nn.init.xavier_uniform_": "glorot_uniform", "nn.init.kaiming_normal_": "he_normal",
    "nn.init.kaiming_uniform_": "he_uniform", "(there is no such loss: write it from ops)":
    "focal_loss softmax_focal_loss multiclass_hinge",
}  # fmt: skip
"""Names of ``mygrad.nnet``."""
