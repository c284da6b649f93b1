"""Keywords of PyTorch and NumPy that have other names here, or none: the tables."""

from __future__ import annotations

from .others import KEYWORDS

RENAMED = {
    "dim": "axis", "keepdim": "keepdims", "start_dim": "start_axis", "end_dim": "end_axis", "dim1": "axis1", "dim2": "axis2",
    "tensors": "arrays tup", "unbiased": "correction", "index": "indices", "split_size_or_sections": "indices_or_sections",
    "chunks": "indices_or_sections", "pad": "pad_width", "value": "constant_values", "steps": "num", "end": "stop",
    "generator": "rng", "f": "path", "obj": "state", "num_workers": "prefetch", "collate_fn": "collate",
    "opset_version": "opset", "axis": "dim", "input1": "x1", "input2": "x2", "interpolation": "method",
    "in_dims": "in_axes", "out_dims": "out_axes", "source": "src", "ndarray": "array", "train": "training",
}  # fmt: skip
"""Our keyword for each of PyTorch's; of several, the first that the function has."""

DONE = (
    "dim", "keepdim", "input", "start_dim", "end_dim", "dims", "exponent", "diagonal", "size", "steps", "shifts", "unbiased"
)  # fmt: skip
"""Keywords that can only mean one thing, so that a call with them is made. The errors of other keywords say what to use."""

THEIRS: dict[str, list[str]] = {}
for _keyword, _ours in (*RENAMED.items(), *KEYWORDS.items()):
    for _name in () if _ours.startswith("(") else _ours.split():
        THEIRS.setdefault(_name, []).append(_keyword)
"""Their keywords for each of ours."""

BESIDE = {
    "input": "prediction logits log_probs probabilities indices t ary a x m v tup x1", "other": "b x2", "out": "",
}  # fmt: skip
"""The same for keywords that nearly all of PyTorch's functions have."""

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
    "add sub": {"alpha": "(multiply the second array by it)"},
    "div": {"rounding_mode": "(use tg.floor_divide(x, y) for 'floor', tg.trunc(x / y) for 'trunc')"},
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
    "F1 Precision Recall Specificity IoU Dice AUROC AveragePrecision Accuracy TopK": {
        **dict.fromkeys(("num_classes", "num_labels"), "(leave it out: the scores have one for each class)"),
        "top_k": "(use tg.metrics.TopK)"},
    "Accuracy": {"task": "(leave it out: the scores say it; tg.metrics.BinaryAccuracy is for one score)"},
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
    "softmax log_softmax softmin norm matrix_norm vector_norm": {
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

OWN = {name: {**OF_FUNCTION.get(name, {}), **NUMPY.get(name, {})} for name in (*OF_FUNCTION, *NUMPY)}
"""Both tables."""

_ABSENT = {
    "leave it out: every result is a new Tensor": "inplace out",
    "leave it out: there is one device, the processor": """
        device map_location pin_memory pin_memory_device non_blocking memory_format layout""",
    "leave it out: it chooses one of PyTorch's implementations": """
        foreach fused capturable differentiable stable antialias recompute_scale_factor use_reentrant dynamic fullgraph
        backend enable_nested_tensor mask_check""",
    "use reduction='mean', 'sum' or 'none'": "size_average reduce",
    "leave it out: batches are made in this process, and prefetch=1 makes them ahead, in a thread": """
        multiprocessing_context worker_init_fn persistent_workers prefetch_factor timeout in_order""",
    "leave it out: files have no pickles, only arrays and plain values": "weights_only pickle_module pickle_protocol mmap",
    "leave it out: nothing is printed": "verbose",
    "give the path of a file, or a state, as weights=": "pretrained",
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
    "inputs": "backward", "non_blocking": "copy_", "device": "to", "assign": "load_state_dict",
    "destination keep_vars": "state_dict",
    "prepend": """
        register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook""",
    "always_call with_kwargs": "register_forward_hook register_forward_pre_hook",
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
    "nanmedian": "it returns values only, the mean of the middle two of an even number",
    "sort": "it returns values only, and argsort their positions",
    "var": "the sum is divided by n; for n - 1, PyTorch's default, give correction=1",
    "std": "the sum is divided by n; for n - 1, PyTorch's default, give correction=1",
    "split": "it takes the positions at which parts begin, or their number, and no sizes",
    "gradient": "for one axis it returns an array, and no tuple",
}
"""How functions differ from PyTorch's, which make `dim` ambiguous."""

UNCLEAR = "name the axes, in axis=: for PyTorch () is all axes or none, and None a guess, by function"
"""What to do about `dim=()` and `dim=None`, whose meaning depends on the function."""

WHOLE = ("fit", "evaluate")
"""Functions to which whole arrays are given as one tuple."""

_LOSSES = """
    BCELoss CosineEmbeddingLoss HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss MSELoss MarginRankingLoss MultiLabelMarginLoss
    MultiLabelSoftMarginLoss SmoothL1Loss SoftMarginLoss
"""

POSITIONAL = {
    **{name: f"; a loss is made first and then called: nn.{name}()(output, target)" for name in _LOSSES.split()},
    **dict.fromkeys(WHOLE, "; whole arrays are one tuple: (x, y)"),
    "Tensor": "; for a shape, use tg.zeros(2, 3)", "step": "; a schedule counts its steps",
    "transpose": "; it takes all axes in their new order, as one tuple: to exchange two, use swapaxes(x, dim0, dim1)",
}  # fmt: skip
"""What to do about too many arguments by position, by function."""
