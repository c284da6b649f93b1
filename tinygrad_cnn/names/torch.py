"""Names of PyTorch, by their replacements: runnable Python, or a reason in brackets.

Errors of names that do not exist and docs/from-pytorch.md are made from these tables.
"""

from __future__ import annotations

from . import others, torchvision

IN_PLACE = "(recorded values are never written in place: use {0}, which returns a new Tensor, or copy_ on a leaf)"
DEVICES = "(there is one device, the processor: leave it out)"
COMPLEX = "(there is none; docs/complex.md says what takes complex numbers)"
SPARSE = "(Tensors are dense)"
QUANTIZED = "(there is no quantization)"
POSITIONS = (
    "(max, min, median and sort return values alone: argmax, argmin and argsort have the positions; topk has both)"
)
MIXED = "(each dtype is computed as it is: there is no autocast)"
VIEWS = "(nothing is written through a view: index, or use tg.index_set, which returns a new Tensor)"
LAZY = "(layers have no lazy forms: give the sizes; model.summary(shape) shows those that a model has)"
FIXED = "(results are the same in every run on the same number of threads: nothing to set)"
SOLVERS = "tg.linalg.solve(a, b)"
RANDOM = "np.random.default_rng().{0}"

_TORCH = {
    "tg.Tensor(data), or tg.from_numpy(array), which shares memory": "scalar_tensor", "tg.split(x, np.cumsum(sizes)[:-1])":
    "split_with_sizes", "tg.take_along_axis": "gather", "tg.put_along_axis": "scatter put", "tg.index_set":
    "index_copy index_fill index_put masked_scatter select_scatter slice_scatter diagonal_scatter", "y - x": "rsub",
    "tg.matmul": "chain_matmul", "b + x @ y": "addmv", "b + (x @ y).sum(axis=0)": "addbmm", "b + tg.outer(x, y)": "addr",
    "tg.min(x), tg.max(x)": "aminmax", "tg.std(x, correction=1), tg.mean(x)": "std_mean",
    "tg.var(x, correction=1), tg.mean(x)": "var_mean", "tg.norm(x - y)": "dist",
    "tg.norm(x[:, None] - x, axis=-1)[np.triu_indices(len(x), 1)]": "pdist", "tg.linalg.norm":
    "frobenius_norm nuclear_norm", "tg.log(tg.linalg.det(x))": "logdet", "tg.linalg.eigh": "symeig lobpcg", "tg.linalg.svd":
    "pca_lowrank svd_lowrank", "tg.linalg.qr": "geqrf orgqr ormqr", SOLVERS:
    "cholesky_inverse cholesky_solve lu lu_solve lu_unpack triangular_solve", "tg.sort(x, axis=0)": "msort",
    "tg.sort(x, axis)[..., k - 1]": "kthvalue", "tg.cumsum(dx * (y[1:] + y[:-1]) / 2)": "cumulative_trapezoid",
    "tg.block": "block_diag", "tg.broadcast_arrays": "broadcast_tensors",
    "tg.eye(n) * x[..., None]": "diag_embed", "tg.pad": "constant_pad_nd",
    "tg.embedding(indices, weight).mean(axis=1)": "embedding_bag",
    "x.reshape(n, g, c, h, w).swapaxes(1, 2).reshape(x.shape)": "channel_shuffle", "x.detach()": "detach",
    "x.swapaxes(-1, -2)": "adjoint", "tg.full": "fill", "tg.arange, which leaves out the end": "range", "tg.zeros":
    "empty_strided empty_permuted", "mean + std * tg.randn(2, 3)": "normal",
    RANDOM.format("poisson"): "poisson", RANDOM.format("binomial"): "binomial", RANDOM.format("integers"): "randint_like",
    "np.unique": "unique_consecutive mode", "np.bartlett(n + 1)[:-1]": "bartlett_window",
    "np.blackman(n + 1)[:-1]": "blackman_window", "np.hamming(n + 1)[:-1]": "hamming_window", "np.hanning(n + 1)[:-1]":
    "hann_window", "np.kaiser(n + 1, 12)[:-1]": "kaiser_window", "itertools.combinations": "combinations",
    "tg.special.digamma": "digamma", "tg.special.erfc": "erfc", "tg.special.erfinv": "erfinv", "tg.special.gammaln":
    "lgamma mvlgamma", "tg.special.logit": "logit", "tg.special.polygamma": "polygamma", "tg.special.xlogy": "xlogy",
    "(no op computes it: use SciPy's on arrays, or declare an op with tg.op)": "igamma igammac matrix_exp",
    "tg.set_num_threads": "set_num_interop_threads", "tg.get_num_threads": "get_num_interop_threads",
    "tg.no_grad or tg.enable_grad": "set_grad_enabled", "tg.detect_anomaly":
    "set_anomaly_enabled", "tg.manual_seed": "seed initial_seed",
    "tg.compile": "fx compiler", "tg.onnx.export": "export",
    "tg.load": "hub", "NumPy's generators: rng=": "Generator default_generator",
    "x * tg.minimum(1, maxnorm / tg.norm(x, axis=1, keepdims=True))": "renorm", "tg.where(mask, x, y)": "masked",
    "SciPy's signal.windows": "signal", "cProfile, and tg.show": "profiler", "np.memmap": "from_file", "np.from_dlpack(x)":
    "to_dlpack", "x.dtype.kind in 'if'": "is_signed", "bool(x)": "is_nonzero", "x.shape == y.shape": "is_same_size",
    "tg.gradients(y, xs)": "Gradient", "Python's if, or tg.where": "cond",
    "Python's while": "while_loop", "(NumPy has no bfloat16)": "bfloat16", "tg.Tensor": "FloatTensor",
    **{f"tg.Tensor(np.array(values, np.{dtype}))": name for name, dtype in {
        "DoubleTensor": "float64", "HalfTensor": "float16", "LongTensor": "int64", "IntTensor": "int32", "ShortTensor": "int16",
        "ByteTensor": "uint8", "BoolTensor": "bool", "CharTensor": "int8"}.items()},
    "tg.set_default_dtype": "set_default_tensor_type",
    DEVICES: """
        cpu mps xpu mtia backends accelerator get_device set_default_device get_default_device Stream Event
        get_device_module memory_format channels_last contiguous_format preserve_format strided layout""",
    MIXED: """
        autocast GradScaler is_autocast_enabled get_autocast_dtype set_float32_matmul_precision
        get_float32_matmul_precision""",
    FIXED: "use_deterministic_algorithms are_deterministic_algorithms_enabled set_deterministic_debug_mode",
    "tg.conj": "conj_physical", "z": "resolve_conj",
    COMPLEX: "is_conj stft istft complex32 chalf",
    SPARSE: "sparse sparse_coo_tensor sparse_csr_tensor sparse_csc_tensor sparse_coo sparse_csr sparse_csc nested jagged",
    QUANTIZED: "quantization ao quantize_per_tensor quantize_per_channel dequantize qint8 quint8 qint32", VIEWS:
    "as_strided as_strided_scatter", "tg.scatter_reduce": "index_reduce", "tg.grid_sample": "grid_sampler", "tg.dropout2d":
    "feature_dropout", "SciPy's stats.qmc": "quasirandom", "(NumPy has no such dtype)":
    "float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu quint4x2 quint2x4",
    "(there are no processes: tg.set_num_threads, or tg.distributed)": "multiprocessing fork wait futures", "nn.LSTM":
    "lstm", "nn.GRU": "gru", "nn.RNN": "rnn_tanh rnn_relu", "nn.LSTMCell": "lstm_cell", "nn.GRUCell": "gru_cell",
}  # fmt: skip

_TENSOR = {
    "x.reshape(...)": "resize", "x.reshape(y.shape)": "resize_as", "x.dtype.itemsize": "itemsize",
    "x.size * x.dtype.itemsize": "nbytes", "x.numpy().strides": "stride", "x.numpy().ctypes.data": "data_ptr",
    "x.detach()": "detach_",
    "x.detach(), and, to write a leaf, x.copy_(value) or, under tg.no_grad(), x[i] = value": "data",
    "x.is_leaf, or tg.show(x)": "grad_fn", "x.register_hook(f)":
    "retain_grad retains_grad register_post_accumulate_grad_hook", "x.copy_(0.0) on a leaf, and w.zero_grad() for w.grad":
    "zero_", "x.copy_(value) on a leaf": "fill_ set_ fill", "tg.nn.init on a parameter":
    "normal_ uniform_ random_ bernoulli_ exponential_ log_normal_ cauchy_ geometric_", "np.array_equal(x, y)": "equal",
    "x << y": "bitwise_left_shift", "x >> y": "bitwise_right_shift", "tg.take_along_axis(x, indices, axis)": "gather",
    "tg.put_along_axis(x, indices, values, axis)": "scatter put",
    "tg.split(x, range(n, x.shape[axis], n), axis) for parts of n": "split", "tg.array_split(x, n)": "tensor_split",
    "tg.zeros(*shape, dtype=x.dtype)": "new", "tg.where(condition, x, y)": "where",
    POSITIONS: "indices values", "x.sum over the axes to drop": "sum_to_size", "f(x.numpy())":
    "apply_ map_ map2_",
    DEVICES: """
        cuda is_cpu is_mps pin_memory is_pinned get_device xpu ipu mtia is_meta layout dim_order is_xpu
        record_stream is_shared""",
    "(use threads: tg.set_num_threads)": "share_memory_",
    "x.conj()": "conjugate conj_physical", "x.conj().mT": "H mH", "tg.angle(x)": "angle",
    COMPLEX: "chalf is_conj is_neg resolve_neg stft istft",
    SPARSE: """
        is_sparse to_sparse to_dense sparse_mask sparse_dim dense_dim coalesce is_coalesced is_sparse_csr
        to_sparse_coo to_sparse_csr to_sparse_csc is_nested to_padded_tensor""",
    QUANTIZED: "is_quantized dequantize int_repr q_scale q_zero_point", VIEWS:
    "as_strided as_strided_scatter storage untyped_storage storage_offset", "(NumPy has no bfloat16)": "bfloat16",
}  # fmt: skip

_FUNCTIONS = """
    addbmm addmv addr aminmax cholesky cholesky_inverse cholesky_solve corrcoef cov cross
    cummax cummin diag_embed diagonal_scatter digamma dist dsplit eig elu erfc erfinv fix frexp geqrf ger
    histogram hsplit igamma igammac index_copy index_fill index_put is_nonzero is_same_size is_signed isneginf
    isposinf isreal kthvalue lgamma logdet logit lstsq lu lu_solve masked_scatter matrix_exp matrix_power median mode msort
    mvlgamma nanmean nanmedian nanquantile nansum nextafter ormqr orgqr pinverse polygamma qr
    select_scatter slice_scatter slogdet softmin solve split_with_sizes svd symeig triangular_solve renorm
    unique_consecutive vsplit xlogy
"""
FUNCTIONS = _FUNCTIONS.split()
"""Methods of ``torch.Tensor`` that are functions here, of the same name or of the name that the other tables have."""

_NN = {
    "nn.RNN, nn.LSTM or nn.GRU": "RNNBase", "nn.RNNCell, nn.LSTMCell or nn.GRUCell": "RNNCellBase",
    "tg.distributed": "DataParallel SyncBatchNorm", QUANTIZED: "quantized quantizable qat intrinsic",
    LAZY: """
        LazyLinear LazyConv1d LazyConv2d LazyConv3d LazyConvTranspose1d LazyConvTranspose2d LazyConvTranspose3d LazyBatchNorm1d
        LazyBatchNorm2d LazyBatchNorm3d LazyInstanceNorm1d LazyInstanceNorm2d LazyInstanceNorm3d UninitializedParameter
        UninitializedBuffer""",
    "nn.Softmax": "Softmax1d", "nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True)": "UpsamplingBilinear2d",
    "nn.Upsample(mode='nearest')": "UpsamplingNearest2d", "nn.ZeroPad2d": "ZeroPad", "Module.register_buffer": "Buffer",
    "nn.NLLLoss": "NLLLoss2d", "nn.Sequential": "Container", "nn.MaxUnpool2d": "MaxUnpool1d MaxUnpool3d",
    "nn.LocalResponseNorm": "CrossMapLRN2d", "nn.TripletMarginLoss": "TripletMarginWithDistanceLoss",
    "nn.Embedding, and a mean": "EmbeddingBag", "a module of your own with x.reshape and x.swapaxes": "ChannelShuffle",
    "(there is no such loss: write one from ops, or declare an op with tg.op)":
    "AdaptiveLogSoftmaxWithLoss LinearCrossEntropyLoss",
    "(there is none: nn.MaxPool2d and nn.AdaptiveMaxPool2d have fixed windows)": "FractionalMaxPool2d FractionalMaxPool3d",
}  # fmt: skip

_MODULE = {
    "type(model).__name__": "_get_name",
    "tg.compile(step), of the whole step, or tg.fit, which compiles it": "compile",
    "setattr(model.get_submodule(parent), name, module)": "set_submodule", "model.register_full_backward_hook":
    "register_backward_hook", "model.register_buffer": "get_extra_state set_extra_state",
    "(a loss is made first and then called: nn.MSELoss()(model(x), target).backward())": "backward item", DEVICES:
    "cuda xpu ipu mtia to_empty", "(NumPy has no bfloat16)": "bfloat16", "(use threads: tg.set_num_threads)":
    "share_memory", "(leave it out: weights are used as they are)": "flatten_parameters",
    "(override state_dict or load_state_dict in a subclass)": """
        register_state_dict_pre_hook register_state_dict_post_hook register_load_state_dict_pre_hook
        register_load_state_dict_post_hook""",
}  # fmt: skip

_OPTIMIZER = {
    "(override step, state_dict or load_state_dict in a subclass)": """
        register_step_pre_hook register_step_post_hook register_state_dict_pre_hook register_state_dict_post_hook
        register_load_state_dict_pre_hook register_load_state_dict_post_hook profile_hook_step""",
    "tg.fit(model, data, loss, optimizer), or loss.backward() and optimizer.step()": "minimize apply_gradients",
    "optimizer.param_groups[0]['lr']": "learning_rate lr",
}  # fmt: skip

_SCHEDULE = {
    "schedule.get_last_lr()": "get_lr print_lr",
}

_FUNCTIONAL = {
    "tg.binary_cross_entropy": "binary_cross_entropy_loss", "tg.max_unpool2d": "max_unpool1d max_unpool3d",
    "tg.max_pool2d(x, 2, return_indices=True), and of other dimensions likewise": """
        max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool1d_with_indices
        adaptive_max_pool2d_with_indices adaptive_max_pool3d_with_indices""",
    "tg.softmax((x - tg.log(-tg.log(tg.rand(*x.shape)))) / tau)": "gumbel_softmax", "tg.triplet_margin_loss":
    "triplet_margin_with_distance_loss", "(there is no such loss: write one from ops, or declare an op with tg.op)":
    "linear_cross_entropy", "(there is none: tg.max_pool2d has fixed windows)":
    "fractional_max_pool2d fractional_max_pool3d", "nn.MultiheadAttention": "multi_head_attention_forward",
}  # fmt: skip

_OPTIM = {
    "optim.Adam, which updates all rows": "SparseAdam",
}  # fmt: skip

_SCHEDULES = {
    "optim.lr_scheduler.LRScheduler": "_LRScheduler",
    "optim.CosineAnnealingLR(optimizer, T_max=anneal_epochs, eta_min=swa_lr)": "SWALR",
}

_DATA = {
    "tg.data.collate": "default_collate default_convert", "tg.data.DataLoader(shuffle=True, seed=0)": "RandomSampler",
    "tg.data.DataLoader, which goes through a dataset in order": "SequentialSampler BatchSampler",
    "tg.distributed, where ranks share each batch": "DistributedSampler distributed",
    "tg.data.TensorDataset": "StackDataset", "tg.data.random_split or tg.data.stratified_split": "train_test_split",
    "(a dataset has a length and examples by number: write a tg.data.Dataset)":
    "IterableDataset ChainDataset IterDataPipe MapDataPipe datapipes",
    "(batches are made in this process; prefetch= makes them ahead in a thread)": "get_worker_info",
}  # fmt: skip

_RANDOM = {
    RANDOM.format("choice"): "choice", RANDOM.format("permutation"): "permutation shuffle",
    RANDOM.format("integers"): "integers", "tg.rand": "random uniform random_sample", "tg.randn": "standard_normal",
    "np.random.default_rng": "default_rng RandomState", "tg.get_rng_state": "get_state fork_rng",
    "tg.set_rng_state": "set_state",
}  # fmt: skip

_INIT = {
    "math.prod(weight.shape[1:]), weight.size // weight.shape[1]": "_calculate_fan_in_and_fan_out",
    "param.copy_(values)": "sparse sparse_",
    **{f"nn.init.{name}_": name for name in (
        "constant", "dirac", "eye", "kaiming_normal", "kaiming_uniform", "normal", "orthogonal", "uniform", "xavier_normal",
        "xavier_uniform")},
}  # fmt: skip

_LINALG = {
    "tg.linalg.cholesky": "cholesky_ex", "tg.linalg.inv": "inv_ex",
    "tg.linalg.solve": "solve_ex solve_triangular lu_solve ldl_solve",
    "x[..., None] ** np.arange(n)": "vander", "np.linalg.LinAlgError": "LinAlgError",
    "(no op computes it: use SciPy's on arrays, or declare an op with tg.op)":
    "lu lu_factor lu_factor_ex ldl_factor ldl_factor_ex matrix_exp householder_product",
}  # fmt: skip

_AUTOGRAD = {
    "tg.op": "Function", "tinygrad_cnn.testing.gradcheck": "gradcheck gradgradcheck", "tg.detect_anomaly":
    "set_detect_anomaly detect_anomaly anomaly_mode", "tg.no_grad and tg.enable_grad": "set_grad_enabled grad_mode",
    "x.backward()": "backward", "tg.vjp, tg.jvp, tg.hvp, tg.jacobian, tg.hessian": "functional",
}  # fmt: skip


def _by_name(groups: dict[str, str]) -> dict[str, str]:
    return {name: use for use, names in groups.items() for name in names.split()}


TABLES = {
    "torch": _by_name(_TORCH),
    "torch.Tensor": _by_name(_TENSOR),
    "torch.nn": _by_name(_NN),
    "torch.nn.Module": _by_name(_MODULE),
    "torch.nn.functional": _by_name(_FUNCTIONAL),
    "torch.linalg": _by_name(_LINALG),
    "torch.autograd": _by_name(_AUTOGRAD),
    "torch.nn.init": _by_name(_INIT),
    "torch.optim": _by_name(_OPTIM),
    "torch.optim.Optimizer": _by_name(_OPTIMIZER),
    "torch.optim.lr_scheduler": _by_name(_SCHEDULES),
    "torch.optim.lr_scheduler.LRScheduler": _by_name(_SCHEDULE),
    "torch.utils.data": _by_name(_DATA),
    "torch.random": _by_name(_RANDOM),
    "torchvision.models": _by_name(torchvision.MODELS),
    "torchvision.ops": _by_name(torchvision.OPS),
    "torchvision.transforms": _by_name(torchvision.TRANSFORMS),
    "torchvision.transforms.functional": _by_name(torchvision.FUNCTIONAL),
    "mygrad": _by_name(others.MYGRAD),
    "mygrad.Tensor": _by_name(others.MYGRAD_TENSOR),
    "mygrad.nnet": _by_name(others.MYGRAD_NNET),
    "numpy.ndarray": _by_name(others.NUMPY_ARRAY),
    "keras.Model": _by_name(others.KERAS_MODEL),
    "keras.layers": _by_name(others.KERAS_LAYERS),
    "keras.callbacks": _by_name(others.KERAS_CALLBACKS),
    "keras.callbacks.History": _by_name(others.KERAS_HISTORY),
    "keras.metrics": _by_name(others.KERAS_METRICS),
    "torchmetrics.Metric": _by_name(others.METRIC),
    "autograd": _by_name(others.AUTOGRAD),
}
"""For each namespace, the replacements of its names. Names of ``torch`` are looked up for the other namespaces too."""
