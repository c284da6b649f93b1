"""Our names for Keras's names and keywords."""

from __future__ import annotations

MODEL = {
    "tg.fit(model, (x, y), loss, optimizer, epochs=...)": "fit train_on_batch",
    "tg.evaluate(model, (x, y), loss)": "evaluate test_on_batch", "tg.predict(model, x)": "predict predict_on_batch",
    "tg.save(path, model.state_dict())": "save save_weights", "model.load_state_dict(tg.load(path))": "load_weights",
    "model.state_dict()": "get_weights weights variables", "model.load_state_dict": "set_weights",
    "model.parameters()": "trainable_weights trainable_variables", "model.buffers()": "non_trainable_weights",
    "model.requires_grad_(False), which freezes": "trainable", "model.modules()": "layers",
    "nn.Sequential.append": "add", "sum(p.size for p in model.parameters())": "count_params",
}  # fmt: skip
"""Methods of ``keras.Model``."""

LAYERS = {
    "nn.Linear": "Dense", "nn.Conv1d": "Conv1D", "nn.Conv2d": "Conv2D", "nn.Conv3d": "Conv3D",
    "nn.ConvTranspose2d": "Conv2DTranspose", "nn.MaxPool1d": "MaxPooling1D MaxPool1D", "nn.MaxPool2d": "MaxPooling2D MaxPool2D",
    "nn.AvgPool2d": "AveragePooling2D AvgPool2D", "nn.AdaptiveAvgPool2d(1)": "GlobalAveragePooling2D",
    "nn.AdaptiveMaxPool2d(1)": "GlobalMaxPooling2D", "nn.BatchNorm2d": "BatchNormalization",
    "nn.LayerNorm": "LayerNormalization", "nn.Upsample": "UpSampling2D", "nn.ZeroPad2d": "ZeroPadding2D",
    "nn.Unflatten": "Reshape", "nn.Conv2d(groups=channels)": "DepthwiseConv2D",
    "(give the shape of the input to model.summary and tg.show)": "Input InputLayer",
}  # fmt: skip
"""Layers of ``keras.layers``."""

CALLBACKS = {
    "tg.training.Checkpoint(path, best='val_loss')": "ModelCheckpoint", "tg.training.Checkpoint, and fit(resume=path)":
    "BackupAndRestore", "tg.training.CSVLog": "CSVLogger", "tg.training.Progress, which fit adds by itself": "ProgbarLogger",
    "tg.fit(scheduler=...), with a schedule of tg.optim": "LearningRateScheduler",
    "a tg.training.Callback with these methods": "LambdaCallback RemoteMonitor", "tg.training.GradientNorms": "GradientNorm",
    "tg.fit(stop_on_nan=True)": "TerminateOnNaN",
    "tg.fit(model, (x, y), loss, optimizer, epochs=...)": "Trainer LightningModule",
    "tg.optim.EMA": "SwapEMAWeights StochasticWeightAveraging", "(the history has 'lr')": "LearningRateMonitor",
}  # fmt: skip
"""Callbacks of ``keras.callbacks``, and of Lightning."""

METRICS = {
    "tg.metrics.MAE": "MeanAbsoluteError", "tg.metrics.RMSE": "RootMeanSquaredError",
    "tg.metrics.MAPE": "MeanAbsolutePercentageError mean_absolute_percentage_error",
    "tg.metrics.MSLE": "MeanSquaredLogarithmicError mean_squared_log_error", "tg.metrics.R2": "R2Score r2_score",
    "tg.metrics.Cosine": "CosineSimilarity", "tg.metrics.F1": "F1Score FBetaScore f1_score",
    "tg.metrics.Accuracy": "SparseCategoricalAccuracy CategoricalAccuracy accuracy_score",
    "tg.metrics.TopK": "SparseTopKCategoricalAccuracy TopKCategoricalAccuracy",
    "tg.metrics.Average, of tg.mse": "MeanSquaredError",
    "tg.metrics.Average": "Mean MeanMetricWrapper", "(scikit-learn's, on tg.predict(model, x))": "AUC Precision Recall",
}  # fmt: skip
"""Metrics of ``keras.metrics``."""

KEYWORDS = {
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
"""Keras's keywords, and ours, or, in brackets, what to do."""
