"""What PyTorch's names are called here, for the error of a name that does not exist.

Each table has PyTorch's names and what to use instead: Python that works here, or, in brackets, why there is nothing.
"""

from __future__ import annotations

from typing import NoReturn

IN_PLACE = "(recorded values are never written in place: use {0}, which returns a new Tensor, or copy_ on a leaf)"
DEVICES = "(there is one device, the processor: leave it out)"
RECURRENT = "(recurrent and attention layers are out of scope: this is a library for convolutional networks)"
COMPLEX = "(Tensors are real: take the real and imaginary parts as two Tensors)"
NUMPY = "(use NumPy's on arrays, np.{0})"

TORCH = {
    "as_tensor": "tg.Tensor(data), or tg.from_numpy(array), which shares memory",
    "cat": "tg.concatenate", "chunk": "tg.array_split",
    "permute": "tg.transpose(x, axes)", "unsqueeze": "tg.expand_dims", "swapdims": "tg.swapaxes", "movedim": "tg.moveaxis",
    "gather": "tg.take_along_axis", "index_select": "tg.take", "scatter": "tg.put_along_axis",
    "clamp": "tg.clip", "acos": "tg.arccos", "asin": "tg.arcsin", "atan": "tg.arctan", "atan2": "tg.arctan2",
    "acosh": "tg.arccosh", "asinh": "tg.arcsinh", "atanh": "tg.arctanh", "multiply": "tg.mul", "subtract": "tg.sub",
    "divide": "tg.div", "true_divide": "tg.div", "eq": "tg.equal", "ne": "tg.not_equal", "lt": "tg.less", "le": "tg.less_equal",
    "gt": "tg.greater", "ge": "tg.greater_equal", "mm": "tg.matmul", "bmm": "tg.matmul", "mv": "tg.matmul",
    "repeat_interleave": "tg.repeat", "amax": "tg.max", "amin": "tg.min", "rsqrt": "1 / tg.sqrt(x)", "flip_lr": "tg.flip",
    "relu_": "tg.relu", "sigmoid_": "tg.sigmoid", "set_num_interop_threads": "tg.set_num_threads",
    "no_grad_": "tg.no_grad", "set_grad_enabled": "tg.no_grad or tg.enable_grad", "inference_mode": "tg.no_grad",
    "randint": NUMPY.format("random.default_rng().integers"), "randperm": NUMPY.format("random.default_rng().permutation"),
    "unique": NUMPY.format("unique"), "histc": NUMPY.format("histogram"),
    "fft": NUMPY.format("fft"), "bincount": NUMPY.format("bincount"),
    "empty": "tg.zeros", "empty_like": "tg.zeros_like",
    "func": "tg.grad, tg.vjp, tg.jvp, tg.vmap, ...", "device": DEVICES, "cuda": DEVICES, "backends": DEVICES,
    "autocast": "(float32 and float64 are computed as they are)", "amp": "(float32 and float64 are computed as they are)",
    "jit": "tg.compile", "fx": "tg.compile, or tinygrad_cnn.core.tracing.observe",
    "utils": "tg.data for data, tg.checkpoint for checkpoint", "complex": COMPLEX, "view_as_real": COMPLEX, "polar": COMPLEX,
    "float": "np.float32", "float32": "np.float32", "float64": "np.float64", "double": "np.float64", "half": "np.float16",
    "float16": "np.float16", "bfloat16": "(NumPy has no bfloat16)", "int": "np.int32", "int32": "np.int32", "int64": "np.int64",
    "long": "np.int64", "uint8": "np.uint8", "bool": "np.bool_", "Generator": "np.random.Generator", "Size": "tuple",
    "seed": "tg.manual_seed", "initial_seed": "tg.manual_seed", "is_tensor": "isinstance(x, tg.Tensor)", "numel": "x.size",
    "get_rng_state_": "tg.get_rng_state", "hub": "(models are trained here or loaded with tg.load)",
}  # fmt: skip
"""Names of ``torch``."""

TENSOR = {
    "view": "x.reshape(...)", "view_as": "x.reshape(y.shape)", "reshape_as": "x.reshape(y.shape)",
    "permute": "x.transpose(...)", "t": "x.T", "mT": "x.swapaxes(-1, -2)", "movedim": "x.moveaxis",
    "unsqueeze": "x.expand_dims(axis)", "expand": "x.broadcast_to(sizes)", "expand_as": "x.broadcast_to(y.shape)",
    "repeat_interleave": "x.repeat(n)", "dim": "x.ndim", "ndimension": "x.ndim", "numel": "x.size", "nelement": "x.size",
    "element_size": "x.dtype.itemsize", "nbytes": "x.size * x.dtype.itemsize", "stride": "x.numpy().strides",
    "clone": "x.copy()", "contiguous": "x.copy(order='C')", "is_contiguous": "x.numpy().flags.c_contiguous",
    "to": "x.astype(dtype)", "type": "x.astype(dtype)", "type_as": "x.astype(y.dtype)", "float": "x.astype(np.float32)",
    "double": "x.astype(np.float64)", "half": "x.astype(np.float16)", "int": "x.astype(np.int32)",
    "long": "x.astype(np.int64)", "bool": "x.astype(bool)", "byte": "x.astype(np.uint8)", "clamp": "x.clip(min, max)",
    "cpu": DEVICES, "cuda": DEVICES, "device": DEVICES, "is_cuda": DEVICES, "pin_memory": DEVICES,
    "data": "x.detach()", "grad_fn": "x.is_leaf, or tg.show(x)", "retain_grad": "x.register_hook(f)",
    "eq": "x == y", "ne": "x != y", "lt": "x < y", "le": "x <= y", "gt": "x > y", "ge": "x >= y", "add": "x + y",
    "sub": "x - y", "mul": "x * y", "div": "x / y", "mm": "x @ y", "bmm": "x @ y", "mv": "x @ y", "neg": "-x",
    "amax": "x.max(axis)", "amin": "x.min(axis)", "rsqrt": "1 / x.sqrt()", "gather": "tg.take_along_axis(x, indices, axis)",
    "index_select": "x.take(indices, axis)", "scatter": "tg.put_along_axis(x, indices, values, axis)",
    "index_add": "tg.index_add(x, axis, index, src)", "chunk": "tg.array_split(x, n)",
    "split": "tg.array_split(x, n)", "unbind": "list(x)", "new_zeros": "tg.zeros(shape, dtype=x.dtype)",
    "new_ones": "tg.ones(shape, dtype=x.dtype)", "new_tensor": "tg.Tensor(data)", "new_full": "tg.full(shape, value)",
    "unique": "np.unique(x.numpy())", "acos": "x.arccos()", "asin": "x.arcsin()",
    "atan": "x.arctan()", "isnan": "tg.isnan(x)", "isfinite": "tg.isfinite(x)", "where": "tg.where(condition, x, y)",
    "real": COMPLEX, "imag": COMPLEX, "conj": COMPLEX, "share_memory_": "(use threads: tg.set_num_threads)",
    "detach_": "x.detach()", "zero_": "x.copy_(0.0) on a leaf",
    "fill_": "x.copy_(value) on a leaf", "softmin": "tg.softmin(x)", "lerp": "tg.lerp(x, y, weight)",
}  # fmt: skip
"""Names of ``torch.Tensor``."""

NN = {
    "functional": "tg.functional", "utils": "tg.optim.clip_grad_norm_, ...", "LSTM": RECURRENT, "GRU": RECURRENT,
    "RNN": RECURRENT, "LSTMCell": RECURRENT, "GRUCell": RECURRENT, "MultiheadAttention": RECURRENT,
    "Transformer": RECURRENT, "TransformerEncoder": RECURRENT, "TransformerEncoderLayer": RECURRENT,
    "DataParallel": "tg.distributed", "SyncBatchNorm": "tg.distributed", "quantized": "(there is no quantization)",
    "LazyLinear": "nn.Linear, with its sizes", "LazyConv2d": "nn.Conv2d, with its sizes", "Softmax1d": "nn.Softmax",
    "UpsamplingBilinear2d": "nn.Upsample(mode='bilinear')", "UpsamplingNearest2d": "nn.Upsample(mode='nearest')",
    "ZeroPad": "nn.ZeroPad2d", "Buffer": "Module.register_buffer", "CTCLoss": "(there is none)",
}  # fmt: skip
"""Names of ``torch.nn``."""

FUNCTIONAL = {
    "mse_loss": "tg.mse", "binary_cross_entropy_loss": "tg.binary_cross_entropy", "pad": "tg.pad, with NumPy's pad_width",
    "sigmoid": "tg.sigmoid", "tanh": "tg.tanh", "upsample": "tg.interpolate",
}  # fmt: skip
"""Names of ``torch.nn.functional``."""

OPTIM = {
    "SparseAdam": "optim.Adam",
    "swa_utils": "optim.EMA",
}
"""Names of ``torch.optim``."""

TABLES = {
    "torch": TORCH,
    "torch.Tensor": TENSOR,
    "torch.nn": NN,
    "torch.nn.functional": FUNCTIONAL,
    "torch.optim": OPTIM,
}


def missing(name: str, where: str, theirs: str, others: object = None) -> AttributeError:
    """The error for a name that `where` lacks: what PyTorch's name of the namespace `theirs` is called here, if it is known.

    A name that ends with an underscore writes in place in PyTorch.
    """
    text = f"{where} has no attribute {name!r}"
    known = TABLES[theirs].get(name)
    if known is None and name.endswith("_") and not name.startswith("_") and hasattr(others, name[:-1]):
        known = IN_PLACE.format(name[:-1])
    if known is None:
        return AttributeError(text)
    if known.startswith("("):
        return AttributeError(f"{text} {known}")
    return AttributeError(f"{text}; for {theirs}.{name} use {known} (docs/from-pytorch.md)")


class Absent:
    """A class attribute that raises the error of :func:`missing`, as if there was none.

    The class has one for each name instead of a ``__getattr__``, which makes Python 3.11 four times slower to read every
    other attribute.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise missing(self.name, owner.__name__, "torch.Tensor", owner)


def answer(tensor: type) -> None:
    """Let the class of Tensors answer the names of PyTorch's that it lacks."""
    in_place = [f"{name}_" for name in dir(tensor) if not name.startswith("_")]
    for name in (*TENSOR, *in_place):
        if not hasattr(tensor, name):
            setattr(tensor, name, Absent(name))
