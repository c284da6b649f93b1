"""PyTorch's keywords that functions and classes here call otherwise, or do not have, for the errors of a wrong keyword."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

RENAMED = {
    "dim": "axis", "keepdim": "keepdims", "start_dim": "start_axis", "end_dim": "end_axis", "dim1": "axis1", "dim2": "axis2",
    "tensors": "arrays", "unbiased": "correction", "index": "indices", "input": "prediction logits log_probs",
    "split_size_or_sections": "indices_or_sections", "chunks": "indices_or_sections", "pad": "pad_width",
    "value": "constant_values", "steps": "num", "end": "stop", "generator": "rng", "f": "path",
    "obj": "state", "num_workers": "prefetch", "collate_fn": "collate", "opset_version": "opset", "axis": "dim",
}  # fmt: skip
"""PyTorch's keyword, and ours: the first one that the function has counts."""

THEIRS = {
    name: [k for k, ours in RENAMED.items() if name in ours.split()] for name in " ".join(RENAMED.values()).split()
}
"""PyTorch's keywords for each of ours."""

_WEIGHTED = """
    linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"""
OF_FUNCTION = {
    "flip": {"dims": "axis"}, "roll": {"shifts": "shift", "dims": "axis"}, "tile": {"dims": "reps"},
    "tensordot": {"dims": "axes"}, "swapaxes": {"axis0": "axis1", "dim0": "axis1", "dim1": "axis2"},
    **{name: {"weight": "w", "bias": "b"} for name in _WEIGHTED.split()},
}  # fmt: skip
"""Keywords of functions that are exceptions from :data:`RENAMED`."""

_ABSENT = {
    "leave it out: every result is a new Tensor": "inplace out",
    "leave it out: there is one device, the processor": """
        device map_location pin_memory pin_memory_device non_blocking multiprocessing_context memory_format""",
    "leave it out: it chooses one of PyTorch's implementations": """
        foreach fused capturable differentiable stable antialias recompute_scale_factor use_reentrant dynamic fullgraph
        backend""",
    "use reduction='mean', 'sum' or 'none'": "size_average reduce",
    "leave it out: batches are made in this process, and prefetch=1 makes them ahead, in a thread": """
        worker_init_fn persistent_workers prefetch_factor timeout in_order""",
    "leave it out: files have no pickles, only arrays and plain values": "weights_only pickle_module pickle_protocol mmap",
    "leave it out: nothing is printed": "verbose",
    "leave it out: embeddings are not renormalized, and gradients neither scaled nor sparse": """
        max_norm norm_type scale_grad_by_freq sparse""",
    "leave it out: the largest come first": "sorted",
    "use swapaxes(x, dim0, dim1); transpose takes all axes in their new order": "dim0 dim1",
}  # fmt: skip
ABSENT = {name: why for why, names in _ABSENT.items() for name in names.split()}
"""Keywords that nothing here stands for, and what to do."""

_TAKEN = {
    "inplace": """
        relu relu6 elu selu celu leaky_relu hardtanh hardsigmoid hardswish silu mish threshold rrelu dropout dropout1d dropout2d
        dropout3d alpha_dropout feature_alpha_dropout""",
    "stable": "sort argsort",
    "sorted": "topk",
    "dim0 dim1": "transpose",
    "antialias recompute_scale_factor": "interpolate",
    "size_average reduce": """
        binary_cross_entropy binary_cross_entropy_with_logits cross_entropy nll_loss l1_loss smooth_l1_loss kl_div
        soft_margin_loss hinge_embedding_loss cosine_embedding_loss margin_ranking_loss triplet_margin_loss poisson_nll_loss""",
}  # fmt: skip
TAKEN = {name: keywords.split() for keywords, names in _TAKEN.items() for name in names.split()}
"""The keywords of :data:`ABSENT` that PyTorch's functions have, by function."""

NOTES = {
    "max": "it returns the largest values, and argmax their positions; tg.maximum(x, y) compares two Tensors",
    "min": "it returns the smallest values, and argmin their positions; tg.minimum(x, y) compares two Tensors",
    "median": "it returns values only, the mean of the middle two of an even number",
    "sort": "it returns values only, and argsort their positions",
}
"""What else differs in a function that is called with `dim`."""


def _ours(function: str, keyword: str, names: Collection[str]) -> str | None:
    candidates = OF_FUNCTION.get(function, RENAMED).get(keyword, "").split()
    return next((name for name in candidates if name in names), None)


def foreign(function: str, names: Collection[str]) -> list[str]:
    """PyTorch's keywords, for a function that has `names`, which the function declares to answer them."""
    if function in OF_FUNCTION:
        renamed = [k for k, ours in OF_FUNCTION[function].items() if ours in names]
    else:
        renamed = [k for name in names for k in THEIRS.get(name, ())]
    return [k for k in dict.fromkeys([*renamed, *TAKEN.get(function, ())]) if k not in names]


def unexpected(function: str, names: Collection[str], given: Mapping[str, Any]) -> TypeError | None:
    """The error for a keyword of PyTorch's in `given` that is not in `names`, those of a function; None if there is none."""
    for keyword, value in sorted(given.items(), key=lambda item: item[1] is None):
        if keyword in names:
            continue
        text = f"{function}() got an unexpected keyword argument {keyword!r}"
        if (ours := _ours(function, keyword, names)) is not None:
            if keyword == "unbiased":
                return TypeError(f"{text}; use correction={int(bool(value))}: the sum is divided by n - correction")
            shown = (
                repr(value) if isinstance(value, int | str | float | tuple | list) and len(repr(value)) < 40 else "..."
            )
            note = f"; {NOTES[function]}" if keyword in ("dim", "keepdim") and function in NOTES else ""
            return TypeError(f"{text}; use {ours}={shown}{note}")
        if keyword in ABSENT:
            return TypeError(f"{text}; {ABSENT[keyword]}")
    return None


def answering(function: F) -> F:
    """`function`, whose errors say what to use for PyTorch's keywords. It is slower; :func:`foreign` is for frequent calls."""

    @functools.wraps(function)
    def answered(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            names = inspect.signature(function).parameters
            owner = type(args[0]).__name__ if function.__name__ == "__init__" else function.__name__
            error = None if any(p.kind is p.VAR_KEYWORD for p in names.values()) else unexpected(owner, names, kwargs)
            if error is None:
                raise
            raise error from None

    return answered  # type: ignore[return-value]
