"""Keywords of PyTorch, NumPy, Keras and autograd that have other names here or are absent, for errors."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from . import autograd, keras

F = TypeVar("F", bound=Callable[..., Any])

RENAMED = {
    "dim": "axis", "keepdim": "keepdims", "start_dim": "start_axis", "end_dim": "end_axis", "dim1": "axis1", "dim2": "axis2",
    "tensors": "arrays tup", "unbiased": "correction", "index": "indices", "split_size_or_sections": "indices_or_sections",
    "chunks": "indices_or_sections", "pad": "pad_width", "value": "constant_values", "steps": "num", "end": "stop",
    "generator": "rng", "f": "path", "obj": "state", "num_workers": "prefetch", "collate_fn": "collate",
    "opset_version": "opset", "axis": "dim", "input1": "x1", "input2": "x2", "interpolation": "method",
    "in_dims": "in_axes", "out_dims": "out_axes", "source": "src", "ndarray": "array", "train": "training",
}  # fmt: skip
"""Our keyword for each of PyTorch's: the first one that the function has."""

THEIRS = {
    name: [k for k, ours in RENAMED.items() if name in ours.split()] for name in " ".join(RENAMED.values()).split()
}
"""PyTorch's keywords for each of ours."""

BESIDE = {
    "input": "prediction logits log_probs probabilities indices t ary a x m v tup x1", "other": "b x2", "out": "",
}  # fmt: skip
"""The same for keywords of nearly all of PyTorch's functions. A function of one or two parameters declares them only if
it declares others, because the check would slow down its calls. `input` is understood, see :func:`answer`."""

TUPLE = "(whole arrays are one tuple: (x, y))"
WEIGHTS = (
    "(examples have no weights: use class_weight=, or draw them by weight, as tg.data.WeightedRandomSampler does; a metric "
    "takes them: tg.metrics.F1()(tg.predict(model, x), y, sample_weight=weights))"
)

_EXCEPTIONS = {
    "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d": {"weight": "w", "bias": "b"},
    "flip": {"dims": "axis"}, "roll": {"shifts": "shift", "dims": "axis"}, "tile": {"dims": "reps"}, "rot90": {"dims": "axes"},
    "tensordot tensorsolve": {"dims": "axes"}, "swapaxes": {"axis0": "axis1", "dim0": "axis1", "dim1": "axis2"},
    "diag diagflat tril triu": {"diagonal": "k", "offset": "k"}, "pow float_power": {"exponent": "b"},
    "split isfinite isinf": {"tensor": "a"}, "dot": {"tensor": "b"}, "one_hot": {"tensor": "labels"}, "vmap": {"func": "f"},
    "heaviside": {"values": "b"}, "from_dlpack": {"ext_tensor": "x", "copy": "(use tg.Tensor(x), which copies)"},
    "cov": {"correction": "ddof"}, "compile": {"model": "(give the function by position)"}, "lstsq": {"cond": "rcond"},
    "matrix_norm": {"dim": "(the matrices are in the last two axes: use swapaxes or moveaxis)"},
    "pairwise_distance": {"keepdim": "(use expand_dims(-1) of the result)"},
    "where": {"input": "a", "other": "b", "x": "a", "y": "b"}, "lerp": {"end": "b"}, "outer": {"vec2": "b"},
    "cond": {"ord": "p"}, "broadcast_to full": {"size": "shape"},
    "zeros ones rand randn": dict.fromkeys(("size", "shape"), "(give the sizes by position: separate numbers, or one tuple)"),
    "linspace logspace geomspace": {
        "requires_grad": "(make a leaf of the result: tg.Tensor(result, requires_grad=True))"},
    "fit": {
        **dict.fromkeys(("lr", "learning_rate"), "(give it to the optimizer)"),
        "seed": "(call tg.manual_seed before)",
        **dict.fromkeys(("num_epochs", "max_epochs", "max_iter"), "epochs"),
        "initial_epoch": "(use resume=, with a Checkpoint)",
        **dict.fromkeys(("val_loader", "val_dataloaders", "validation_loader"), "validate"), "callback": "callbacks",
        **dict.fromkeys(("train_loader", "train_dataloaders", "data"), "loader"), "metric": "metrics", "sample_weight": WEIGHTS,
        "x": TUPLE, "y": TUPLE, "X": TUPLE, "schedule": "scheduler", "lr_scheduler": "scheduler", "val": "validate"},
    "evaluate predict": {"x": TUPLE, "y": TUPLE, "X": TUPLE, "sample_weight": WEIGHTS}, "evaluate": {"metric": "metrics"},
    "fit evaluate train_step eval_step Classifier Regressor": {"criterion": "loss", "loss_fn": "loss"},
    "Classifier Regressor": dict.fromkeys(("max_epochs", "max_iter"), "epochs"),
    "Checkpoint": {
        "monitor": "best", "save_best_only": "(use best='val_loss', which saves the best epoch beside the last)",
        "filepath": "path", "dirpath": "path", "save_top_k": "(use best='val_loss')"},
    "DataLoader": {"generator": "seed", "batch_sampler": "(give batch_size= and sampler=)"},
    "SubsetRandomSampler WeightedRandomSampler": {"generator": "(give seed= to the DataLoader)"},
    "step": {"epoch": "(leave it out: a schedule counts its steps)"},
    "max min": {"other": "(tg.maximum and tg.minimum compare two arrays)"},
    "random_split stratified_split": {"generator": "rng", "seed": "rng"},
    "matrix_rank": {"input": "A"},
    "l1_loss": {"weight": "(weight the elements of reduction='none')"}, "solve": {"A": "a", "B": "b"},
    "softmax log_softmax softmin norm matrix_norm": {
        "dtype": "(convert before or after: x.astype(dtype))"},
    "searchsorted": {
        "input": "v", "sorted_sequence": "a", "values": "v", "right": "(use side='right')",
        "out_int32": "(leave it out: indices are NumPy's)"},
    "nonzero": {"as_tuple": "(tg.argwhere is as_tuple=False, and tg.nonzero is as_tuple=True)"},
    "einsum": dict.fromkeys(("equation", "operands"), "(give equation and arrays by position)"),
    "gradient": {"input": "f", "spacing": "(give the distances by position, after the array)"},
    "topk": {"descending": "(use largest=)"},
    "select": dict.fromkeys(("dim", "index", "input"), "(this is NumPy's select, of several conditions; index: x[:, i])"),
}  # fmt: skip
OF_FUNCTION: dict[str, dict[str, str]] = {}
for _names, _table in _EXCEPTIONS.items():
    for _name in _names.split():
        OF_FUNCTION.setdefault(_name, {}).update(_table)
"""Keywords of functions that are exceptions from :data:`RENAMED`: our keyword, or, in brackets, what to do."""

_NUMPY = {
    "split array_split": {"ary": "a"}, "pad broadcast_to": {"array": "a"}, "take_along_axis": {"arr": "a"}, "tile": {"A": "a"},
    "trunc": {"x": "a"}, "zeros_like ones_like full_like": {
        "a": "t", "prototype": "t", "order": "(leave it out: Tensors have no order in memory)"},
    "sort argsort partition argpartition": {
        "kind": "(leave it out: every sort is stable)", "order": "(leave it out: Tensors have no fields)"},
    "broadcast_to broadcast_arrays copy zeros_like ones_like full_like": {
        "subok": "(leave it out: every result is a Tensor)"},
    "median percentile quantile nanmedian nanpercentile nanquantile": {
        "overwrite_input": "(leave it out: nothing recorded is ever written)"},
    "reshape": {"copy": "(leave it out: a result may share memory)", "newshape": "shape"},
    "corrcoef": {"bias": "(leave it out: it has no effect)", "ddof": "(leave it out: it has no effect)"},
    "round trunc multi_dot": {"out": "(leave it out: every result is a new Tensor)"},
    "polyfit": {"full": "(use svd of vander(x, deg + 1))", "cov": "(use inv of V^T V, with V = vander(x, deg + 1))"},
}  # fmt: skip
NUMPY: dict[str, dict[str, str]] = {}
for _names, _table in _NUMPY.items():
    for _name in _names.split():
        NUMPY.setdefault(_name, {}).update(_table)
"""The same for NumPy's keywords."""

_ABSENT = {
    "leave it out: every result is a new Tensor": "inplace out",
    "leave it out: there is one device, the processor": """
        device map_location pin_memory pin_memory_device non_blocking memory_format layout""",
    "leave it out: it chooses one of PyTorch's implementations": """
        foreach fused capturable differentiable stable antialias recompute_scale_factor use_reentrant dynamic fullgraph
        backend""",
    "use reduction='mean', 'sum' or 'none'": "size_average reduce",
    "leave it out: batches are made in this process, and prefetch=1 makes them ahead, in a thread": """
        multiprocessing_context worker_init_fn persistent_workers prefetch_factor timeout in_order""",
    "leave it out: files have no pickles, only arrays and plain values": "weights_only pickle_module pickle_protocol mmap",
    "leave it out: nothing is printed": "verbose",
    "leave it out: loading copies the values": "assign",
    "leave it out: named_parameters() gives the Tensors, and state_dict copies of their values": "keep_vars destination",
    "leave it out: hooks run in the order in which they were registered": "prepend always_call with_kwargs",
    "use tg.gradients(y, xs)": "inputs",
    "leave it out: embeddings are not renormalized, and gradients neither scaled nor sparse": """
        max_norm norm_type scale_grad_by_freq sparse""",
    "leave it out: the largest come first": "sorted",
    "use swapaxes(x, dim0, dim1); transpose takes all axes in their new order": "dim0 dim1",
}  # fmt: skip
ABSENT = {name: why for why, names in _ABSENT.items() for name in names.split()}
"""Keywords without a counterpart here, and what to do."""

_CREATION = "zeros ones full arange eye tri rand randn zeros_like ones_like full_like rand_like randn_like"
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
        soft_margin_loss hinge_embedding_loss cosine_embedding_loss margin_ranking_loss triplet_margin_loss poisson_nll_loss
        multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss""",
    "device layout pin_memory memory_format out": f"""
        {_CREATION} linspace logspace geomspace from_numpy from_dlpack""",
    "max_norm norm_type scale_grad_by_freq sparse": "embedding",
}  # fmt: skip
TAKEN: dict[str, list[str]] = {}
for _keywords, _names in _TAKEN.items():
    for _name in _names.split():
        TAKEN.setdefault(_name, []).extend(_keywords.split())
"""The keywords of :data:`ABSENT` that PyTorch's functions have, by function."""

NOTES = {
    "max": "it returns the largest values, and argmax their positions; tg.maximum(x, y) compares two Tensors",
    "min": "it returns the smallest values, and argmin their positions; tg.minimum(x, y) compares two Tensors",
    "median": "it returns values only, the mean of the middle two of an even number",
    "sort": "it returns values only, and argsort their positions",
}
"""Other differences of functions that are called with `dim`."""


def _own(function: str) -> Mapping[str, str]:
    return {**OF_FUNCTION.get(function, {}), **NUMPY.get(function, {})}


def _ours(function: str, keyword: str, names: Collection[str]) -> str | None:
    """Our keyword, or in brackets what to do; None if the function has no counterpart."""
    found = (table.get(keyword) for table in (_own(function), RENAMED, BESIDE, keras.KEYWORDS, autograd.KEYWORDS))
    known = next(filter(None, found), "")
    if keyword == "input" and known == BESIDE[keyword]:
        names = [*names][:1]  # take(a, indices) has two of these
    return known if known.startswith("(") else next((name for name in known.split() if name in names), None)


def foreign(function: str, names: Collection[str]) -> list[str]:
    """PyTorch's and NumPy's keywords for a function with parameters `names`. It declares them, to raise an error."""
    own = _own(function)
    found = [k for name in names for k in THEIRS.get(name, ()) if k not in own]
    found += [*(k for k in own if _ours(function, k, names)), *TAKEN.get(function, ())]
    if len(names) > (0 if found else 2) and "self" not in names:
        found += [k for k in BESIDE if (k in ABSENT and len(names) > 1) or _ours(function, k, names)]
    return [k for k in dict.fromkeys(found) if k not in names]


def unexpected(function: str, names: Collection[str], given: Mapping[str, Any]) -> TypeError | None:
    """The error for a keyword of PyTorch's in `given` that is not in `names`, those of a function; None if there is none."""
    for keyword, value in sorted(given.items(), key=lambda item: item[1] is None):
        if keyword in names:
            continue
        text = f"{function}() got an unexpected keyword argument {keyword!r}"
        if (ours := _ours(function, keyword, names)) is not None:
            if ours.startswith("("):
                return TypeError(f"{text}; {ours[1:-1]}")
            if keyword == "unbiased":
                return TypeError(f"{text}; use correction={int(bool(value))}: the sum is divided by n - correction")
            shown = (
                repr(value) if isinstance(value, int | str | float | tuple | list) and len(repr(value)) < 40 else "..."
            )
            shown = repr(bool(value)) if ours == "progress" else shown
            note = f"; {NOTES[function]}" if keyword in ("dim", "keepdim") and function in NOTES else ""
            return TypeError(f"{text}; use {ours}={shown}{note}")
        if keyword in ABSENT:
            return TypeError(f"{text}; {ABSENT[keyword]}")
    return None


def answer(again: Callable[..., Any], names: Collection[str], given: Mapping[str, Any]) -> Any:
    """Call the function `again` with PyTorch's `input` under our name; raise :func:`unexpected` for other foreign keywords.

    `given` has the values of the parameters `names`, if they have any, and of the keywords that :func:`foreign` gives for them.
    """
    own = {k: v for k, v in given.items() if k in names}
    others = {k: v for k, v in given.items() if k not in names and v is not None}
    ours = _ours(again.__name__, "input", names)
    if [*others] == ["input"] and ours is not None and ours in names and ours not in own:
        return again(**own, **{ours: others["input"]})
    parameters = inspect.signature(again).parameters
    for keyword in others:
        ours = _ours(again.__name__, keyword, names)
        if ours in own and own[ours] is not parameters[ours].default:  # as in x.flip(0, 1)
            places = f"it takes {', '.join(names)}{', and several axes as one tuple' if ours == 'axis' else ''}"
            text = f"{again.__name__}() got an unexpected keyword argument {keyword!r}; `{ours}` is given already"
            raise TypeError(f"{text}, or there is an argument too many: {places}")
    error = unexpected(again.__name__, names, others)
    assert error is not None, f"{again.__name__} declares {[*others]}"
    raise error


POSITIONAL = {
    "fit": "; whole arrays are one tuple: (x, y)", "evaluate": "; whole arrays are one tuple: (x, y)",
    "Tensor": "; for a shape, use tg.zeros(2, 3)", "step": "; a schedule counts its steps",
}  # fmt: skip
"""More text for the error of too many positional arguments."""


def _too_many(owner: str, parameters: Sequence[inspect.Parameter], given: int) -> TypeError | None:
    """The error for more arguments by position than a function takes."""
    kinds = [p.kind for p in parameters]
    most = sum(kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds)
    named = ", ".join(f"{p.name}=" for p in parameters if p.kind is p.KEYWORD_ONLY)
    if (
        given <= most
        or inspect.Parameter.VAR_POSITIONAL in kinds
        or not (named or (owner in POSITIONAL and owner != "fit"))
    ):
        return None
    places = " and ".join(f"`{p.name}`" for p in parameters[:most] if p.name != "self") or "nothing"
    more = f"; give the others by name: {named}" if named else ""
    return TypeError(f"{owner}() takes {places} by position{more}{POSITIONAL.get(owner, '')}")


def _twice(
    owner: str, parameters: Sequence[inspect.Parameter], given: int, keywords: Collection[str]
) -> TypeError | None:
    """The error for an argument that is given by position and by name, as in Keras's fit(model, x, y, loss=...)."""
    places = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    twice = [name for name in places[:given] if name in keywords]
    if not twice:
        return None
    named = ", ".join(f"`{name}`" for name in places if name != "self")
    text = f"{owner}() got `{twice[0]}` by position and by name; its positions are {named}"
    return TypeError(f"{text}{POSITIONAL.get(owner, '')}")


def explain_keywords(function: F) -> F:
    """A decorator: errors of `function` name our keyword for PyTorch's. It is slow; :func:`foreign` is for frequent calls."""

    @functools.wraps(function)
    def explained(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            names = inspect.signature(function).parameters
            owner = (
                type(args[0]).__name__
                if function.__name__ in ("__init__", "__call__")
                else function.__name__.lstrip("_")
            )
            error = None if any(p.kind is p.VAR_KEYWORD for p in names.values()) else unexpected(owner, names, kwargs)
            error = error or _twice(owner, list(names.values()), len(args), kwargs)
            error = error or _too_many(owner, list(names.values()), len(args))
            if error is None:
                raise
            raise error from None

    return explained  # type: ignore[return-value]
