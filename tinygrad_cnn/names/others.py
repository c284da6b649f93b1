"""Names of MyGrad, autograd and Keras, by their replacements: runnable Python, or a reason in brackets."""

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

MYGRAD_TENSOR = {
    "x.zero_grad()": "null_grad null_gradients", "not x.requires_grad": "constant", "x.is_leaf, or tg.show(x)": "creator",
    "x.numpy().base": "base", "(backward frees the graph)": "clear_graph",
}  # fmt: skip
"""Names of ``mygrad.Tensor``."""

NUMPY_ARRAY = {
    "x.reshape(-1)": "flat", "tg.choose(x, choices)": "choose",
    "tg.compress(condition, x, axis)": "compress", "tg.partition(x, k)": "partition", "tg.argpartition(x, k)": "argpartition",
    "tg.searchsorted(x, v)": "searchsorted", "tg.save(path, state)": "dump dumps tofile", "tg.ptp(x)": "ptp",
    "x.numpy().tobytes()": "tostring", "x.numpy().view(x.dtype.newbyteorder())": "newbyteorder",
    **{f"x.numpy().{name}": name for name in ("byteswap", "ctypes", "flags", "getfield", "strides", "tobytes")},
    "(recorded values are never written, and x.numpy() is read-only; x.numpy().copy() is an array of your own)":
    "setfield setflags itemset",
}  # fmt: skip
"""Attributes of ``numpy.ndarray``."""

MYGRAD_NNET = {
    "tg.functional.hardtanh": "hard_tanh", "tg.log_softmax": "logsoftmax", "tg.softsign": "soft_sign",
    "tg.batch_norm": "batchnorm", "tg.conv2d, and of other dimensions likewise": "conv_nd", "tg.max_pool2d": "max_pool",
    "tg.cross_entropy": "softmax_crossentropy", "tg.nll_loss": "negative_log_likelihood", "nn.init.xavier_normal_":
    "glorot_normal", "nn.init.xavier_uniform_": "glorot_uniform", "nn.init.kaiming_normal_": "he_normal",
    "nn.init.kaiming_uniform_": "he_uniform", "(there is no such loss: write it from ops)":
    "softmax_focal_loss multiclass_hinge", "tg.vision.ops.sigmoid_focal_loss": "focal_loss",
}  # fmt: skip
"""Names of ``mygrad.nnet``."""

AUTOGRAD = {
    "tg.grad(lambda x: f(x).sum())": "elementwise_grad deriv", "tg.vjp(f, x)": "make_vjp vector_jacobian_product",
    "tg.jvp(f, (x,), (v,))": "make_jvp", "tg.hvp(f, (x,), (v,))": "make_hvp hessian_vector_product hessian_tensor_product",
    "tg.jacobian(f)": "tensor_jacobian_product", "tg.value_and_grad": "grad_and_aux", "tg.grad(f, argnums=...)":
    "grad_named multigrad_dict", "tg.op": "primitive notrace_primitive", "f.vjp(a=rule) of an op, see tg.op": "defvjp defjvp",
    "tg.linearize and tg.vjp": "make_ggnvp",
}  # fmt: skip
"""Names of ``autograd`` and ``autograd.extend``."""

KERAS_MODEL = {
    "tg.fit(model, (x, y), loss, optimizer, epochs=...)": "fit train_on_batch",
    "tg.evaluate(model, (x, y), loss)": "evaluate test_on_batch", "tg.predict(model, x)": "predict predict_on_batch",
    "tg.save(path, model.state_dict())": "save save_weights", "model.load_state_dict(tg.load(path))": "load_weights",
    "model.state_dict()": "get_weights weights variables", "model.load_state_dict": "set_weights",
    "model.parameters()": "trainable_weights trainable_variables", "model.buffers()": "non_trainable_weights",
    "model.requires_grad_(False), which freezes": "trainable", "model.modules()": "layers",
    "nn.Sequential.append": "add", "sum(p.size for p in model.parameters())": "count_params",
}  # fmt: skip
"""Methods of ``keras.Model``."""

KERAS_LAYERS = {
    "nn.Linear": "Dense", "nn.Conv1d": "Conv1D", "nn.Conv2d": "Conv2D", "nn.Conv3d": "Conv3D",
    "nn.ConvTranspose2d": "Conv2DTranspose", "nn.MaxPool1d": "MaxPooling1D MaxPool1D", "nn.MaxPool2d": "MaxPooling2D MaxPool2D",
    "nn.AvgPool2d": "AveragePooling2D AvgPool2D", "nn.AdaptiveAvgPool2d(1)": "GlobalAveragePooling2D",
    "nn.AdaptiveMaxPool2d(1)": "GlobalMaxPooling2D", "nn.BatchNorm2d": "BatchNormalization",
    "nn.LayerNorm": "LayerNormalization", "nn.Upsample": "UpSampling2D", "nn.ZeroPad2d": "ZeroPadding2D",
    "nn.Unflatten": "Reshape", "nn.Conv2d(groups=channels)": "DepthwiseConv2D",
    "(give the shape of the input to model.summary and tg.show)": "Input InputLayer",
}  # fmt: skip
"""Layers of ``keras.layers``."""

KERAS_CALLBACKS = {
    "tg.training.Checkpoint(path, best='val_loss')": "ModelCheckpoint", "tg.training.Checkpoint, and fit(resume=path)":
    "BackupAndRestore", "tg.training.CSVLog": "CSVLogger", "tg.training.Progress, which fit adds by itself": "ProgbarLogger",
    "tg.fit(scheduler=...), with a schedule of tg.optim": "LearningRateScheduler",
    "a tg.training.Callback with these methods": "LambdaCallback RemoteMonitor", "tg.training.GradientNorms": "GradientNorm",
    "tg.fit(stop_on_nan=True)": "TerminateOnNaN",
    "tg.fit(model, (x, y), loss, optimizer, epochs=...)": "Trainer LightningModule",
    "tg.training.AverageWeights": "SwapEMAWeights StochasticWeightAveraging EMAWeightAveraging WeightAveraging",
    "(the history has 'lr')": "LearningRateMonitor",
}  # fmt: skip
"""Callbacks of ``keras.callbacks``, and of Lightning."""

KERAS_HISTORY = {
    "history itself, which fit returns: history['loss']": "history", "range(1, history.epochs + 1)": "epoch",
}  # fmt: skip
"""Attributes of what ``keras.Model.fit`` returns."""

KERAS_METRICS = {
    "tg.metrics.MAE": "MeanAbsoluteError", "tg.metrics.RMSE": "RootMeanSquaredError",
    "tg.metrics.MAPE": "MeanAbsolutePercentageError mean_absolute_percentage_error",
    "tg.metrics.MSLE": "MeanSquaredLogarithmicError mean_squared_log_error", "tg.metrics.R2": "R2Score r2_score",
    "tg.metrics.Cosine": "CosineSimilarity", "tg.metrics.F1": "F1Score FBetaScore f1_score",
    "tg.metrics.Accuracy": "SparseCategoricalAccuracy CategoricalAccuracy accuracy_score",
    "tg.metrics.TopK": "SparseTopKCategoricalAccuracy TopKCategoricalAccuracy",
    "tg.metrics.Average, of tg.mse": "MeanSquaredError",
    "tg.metrics.Average": "Mean MeanMetricWrapper MeanMetric", "tg.metrics.AUROC or AveragePrecision": "AUC",
    "tg.metrics.IoU": "MeanIoU JaccardIndex",
    "tg.metrics.confusion_matrix": "ConfusionMatrix", "tg.metrics.Dice": "DiceScore GeneralizedDiceScore",
    "(give several metrics to fit or evaluate in a list)": "MetricCollection",
}  # fmt: skip
"""Metrics of ``keras.metrics``, and of torchmetrics."""

METRIC = {
    "(call the metric: metric(outputs, targets) of all examples, or tg.evaluate(model, loader, metrics=[metric]) by batches)":
    "update compute reset forward update_state",
}  # fmt: skip
"""Methods of a metric of torchmetrics or Keras, which keeps what it was given."""

KEYWORDS = {
    "argnum": "argnums",
    "learning_rate": "lr",
    "epsilon": "eps",
    "beta_1": "(use betas=(beta_1, beta_2))",
    "beta_2": "(use betas=(beta_1, beta_2))",
    "rho": "alpha",
    "validation_data": "validate",
    "verbose": "progress",
    "y_true": "target",
    "y_pred": "output prediction",
    "monitor": "metric",
    "restore_best_weights": "restore_best",
    "strides": "stride",
    "validation_split": "(split the data before, with tg.data.stratified_split, and give a part as validate=)",
    "activation": "(put a layer after it, such as nn.ReLU())",
}
"""Keywords of Keras and autograd, each with our keyword or a reason in brackets."""

_HOOKS = {
    "on_fit_begin": "on_train_begin on_train_start on_training_start on_training_begin on_fit_start before_fit before_train",
    "on_epoch_begin": "on_epoch_start on_train_epoch_start on_train_epoch_begin before_epoch",
    "on_gradients": "on_before_optimizer_step on_after_backward on_grad_computed after_backward before_step on_before_step",
    "on_step_end": "on_batch_end on_train_batch_end on_training_step_end after_batch after_step on_train_step_end",
    "on_validation_batch": "on_validation_batch_end on_test_batch_end on_val_batch_end",
    "on_epoch_end": """
        on_train_epoch_end on_validation_epoch_end after_epoch""",
    "on_validation_begin": """
        on_validation_start on_validation_epoch_start on_test_begin on_test_start on_val_begin on_val_start before_validate""",
    "on_validation_end": "on_test_end on_val_end on_validate_end after_validate",
    "on_fit_end": "on_train_end on_training_end on_exception on_keyboard_interrupt after_fit after_train",
}  # fmt: skip
HOOKS = {theirs: ours for ours, names in _HOOKS.items() for theirs in names.split()}
"""Our hook for each one of Keras, Lightning, fastai and skorch that a training here has, too."""
