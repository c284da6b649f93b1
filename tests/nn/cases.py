"""The table of layers that the tests run through: name, arguments, keyword arguments, and inputs.

An input is the kind of its values and its shape. The kinds are "normal", "positive", "unit" (from 0 to 1), "sign" (1 or -1),
and a number of classes, for integers below it. Layers that draw random numbers have no inputs.
"""

from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """A layer with arguments, and inputs for it."""

    name: str
    args: tuple
    kwargs: dict[str, Any]
    inputs: list[tuple[str | int, tuple[int, ...]]]

    def __str__(self) -> str:
        """The layer as a call, by which the record of PyTorch is found."""
        return f"{self.name}({', '.join([*map(str, self.args), *(f'{k}={v}' for k, v in self.kwargs.items())])})"

    def arrays(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Random inputs."""
        return [values(kind, shape, rng) for kind, shape in self.inputs]


def values(kind: str | int, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A random array of a kind."""
    if isinstance(kind, int):
        return rng.integers(kind, size=shape)
    normal = rng.normal(size=shape) * 2
    if kind == "sign":
        return normal / abs(normal)
    return {"normal": normal, "positive": abs(normal) + 0.1, "unit": 1 / (1 + 2.7**normal)}[kind]


W = [1.0, 2.0, 0.5, 1.5]

CASES = [Case(*row) for row in [
    ("Identity", (3,), {"anything": 1}, [("normal", (3,))]),
    ("Linear", (4, 3), {}, [("normal", (2, 4))]),
    ("Linear", (4, 3), {"bias": False}, [("normal", (2, 3, 4))]),
    ("Bilinear", (4, 3, 2), {}, [("normal", (2, 5, 4)), ("normal", (2, 5, 3))]),
    ("Bilinear", (4, 3, 2), {"bias": False}, [("normal", (2, 4)), ("normal", (2, 3))]),
    ("Embedding", (7, 3), {}, [(7, (2, 3))]),
    ("Embedding", (7, 3), {"padding_idx": -1}, [(7, (3, 5))]),
    ("Flatten", (), {}, [("normal", (2, 3, 2))]),
    ("Flatten", (0, 1), {}, [("normal", (2, 3, 2))]),
    ("Unflatten", (1, (2, -1)), {}, [("normal", (2, 6, 2))]),
    # Convolutions
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, [("normal", (2, 4, 7))]),
    ("Conv2d", (2, 3, 3), {}, [("normal", (2, 2, 5, 4))]),
    ("Conv2d", (2, 3, 3), {"stride": 2, "padding": (2, 1), "dilation": 2, "bias": False}, [("normal", (1, 2, 6, 7))]),
    ("Conv2d", (2, 3, (3, 2)), {"padding": "same"}, [("normal", (2, 2, 4, 4))]),
    ("Conv2d", (2, 3, (3, 2)), {"padding": "same", "padding_mode": "reflect"}, [("normal", (2, 2, 4, 4))]),
    ("Conv2d", (2, 3, 3), {"padding": (1, 2), "padding_mode": "circular"}, [("normal", (2, 4, 4))]),
    ("Conv2d", (2, 2, 3), {"padding": 2, "padding_mode": "replicate", "stride": 2, "groups": 2}, [("normal", (2, 4, 4))]),
    ("Conv3d", (2, 3, 2), {}, [("normal", (1, 2, 3, 2, 3))]),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}, [("normal", (2, 4, 4))]),
    ("ConvTranspose2d", (2, 3, 3), {"stride": 2, "dilation": 2}, [("normal", (1, 2, 2, 3))]),
    ("ConvTranspose2d", (2, 3, 3), {"stride": 2, "padding": 1, "bias": False}, [("normal", (2, 3, 2))]),
    ("ConvTranspose3d", (2, 3, 2), {}, [("normal", (1, 2, 2, 2, 2))]),
    # Normalization
    ("BatchNorm1d", (3,), {}, [("normal", (4, 3))]),
    ("BatchNorm1d", (3,), {"momentum": None, "eps": 0.001}, [("normal", (4, 3, 2))]),
    ("BatchNorm2d", (3,), {}, [("normal", (2, 3, 3, 2))]),
    ("BatchNorm2d", (3,), {"affine": False, "track_running_stats": False}, [("normal", (2, 3, 3, 2))]),
    ("BatchNorm2d", (3,), {"bias": False, "momentum": 0.3}, [("normal", (2, 3, 3, 2))]),
    ("BatchNorm3d", (3,), {}, [("normal", (2, 3, 2, 1, 2))]),
    ("InstanceNorm1d", (3,), {"affine": True}, [("normal", (2, 3, 4))]),
    ("InstanceNorm2d", (3,), {}, [("normal", (3, 3, 2))]),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, [("normal", (2, 3, 3, 2))]),
    ("InstanceNorm3d", (3,), {"momentum": None, "track_running_stats": True}, [("normal", (2, 3, 2, 2, 2))]),
    ("GroupNorm", (2, 4), {}, [("normal", (3, 4, 3))]),
    ("GroupNorm", (2, 4), {"bias": False}, [("normal", (3, 4))]),
    ("LayerNorm", (4,), {}, [("normal", (3, 4))]),
    ("LayerNorm", ((2, 4),), {"bias": False}, [("normal", (3, 2, 4))]),
    ("LayerNorm", ((2, 4),), {"elementwise_affine": False}, [("normal", (3, 2, 4))]),
    ("RMSNorm", (4,), {}, [("normal", (3, 4))]),
    ("RMSNorm", ((2, 4),), {"eps": 0.1, "elementwise_affine": False}, [("normal", (3, 2, 4))]),
    ("LocalResponseNorm", (3,), {"alpha": 0.5}, [("normal", (2, 5, 2))]),
    ("Dropout", (0.3,), {}, []),
    ("Dropout1d", (0.2,), {}, []),
    ("Dropout2d", (), {}, []),
    ("Dropout3d", (), {}, []),
    ("AlphaDropout", (0.2,), {}, []),
    ("FeatureAlphaDropout", (), {}, []),
    # Pooling
    ("MaxPool1d", (2,), {}, [("normal", (1, 2, 7))]),
    ("MaxPool2d", (3, 2), {"padding": 1, "ceil_mode": True}, [("normal", (1, 2, 6, 5))]),
    ("MaxPool2d", (2,), {"stride": 1, "dilation": 2}, [("normal", (2, 5, 5))]),
    ("MaxPool3d", (2,), {}, [("normal", (1, 2, 2, 4, 2))]),
    ("AvgPool1d", (2,), {}, [("normal", (1, 2, 7))]),
    ("AvgPool2d", (3, 2), {"padding": 1, "count_include_pad": False}, [("normal", (1, 2, 6, 5))]),
    ("AvgPool2d", (2,), {"ceil_mode": True, "divisor_override": 3}, [("normal", (1, 2, 5, 5))]),
    ("AvgPool3d", (2,), {}, [("normal", (1, 2, 2, 4, 2))]),
    ("LPPool1d", (2, 2), {}, [("positive", (1, 2, 7))]),
    ("LPPool2d", (3, (2, 3)), {"stride": 1}, [("positive", (1, 2, 4, 4))]),
    ("LPPool3d", (2, 2), {}, [("positive", (1, 2, 2, 4, 3))]),
    ("AdaptiveAvgPool1d", (3,), {}, [("normal", (1, 2, 7))]),
    ("AdaptiveAvgPool2d", ((3, None),), {}, [("normal", (1, 2, 5, 3))]),
    ("AdaptiveAvgPool3d", (2,), {}, [("normal", (1, 2, 3, 3, 2))]),
    ("AdaptiveMaxPool1d", (3,), {}, [("normal", (1, 2, 7))]),
    ("AdaptiveMaxPool2d", ((3, None),), {}, [("normal", (1, 2, 5, 3))]),
    ("AdaptiveMaxPool3d", (2,), {}, [("normal", (1, 2, 3, 3, 2))]),
    # Size
    ("Upsample", (), {"scale_factor": 2}, [("normal", (1, 2, 2, 3))]),
    ("Upsample", (), {"size": (5, 4), "mode": "bilinear", "align_corners": True}, [("normal", (1, 2, 3, 3))]),
    *[
        ("Upsample", (), {"size": (5, 2), "mode": mode}, [("normal", (1, 2, 3, 4))])
        for mode in ("nearest-exact", "area", "bicubic")
    ],
    ("PixelShuffle", (2,), {}, [("normal", (1, 8, 2, 1))]),
    ("PixelUnshuffle", (2,), {}, [("normal", (1, 2, 4, 2))]),
    ("Unfold", (2,), {}, [("normal", (1, 2, 3, 4))]),
    ("Fold", ((3, 4), 2), {}, [("normal", (1, 8, 6))]),
    # Padding
    ("ConstantPad1d", (2, 1.5), {}, [("normal", (1, 2, 3))]),
    ("ConstantPad2d", ((1, 0, 2, 1), -1.0), {}, [("normal", (1, 2, 3, 4))]),
    ("ConstantPad3d", (1, 0.5), {}, [("normal", (2, 2, 1, 2))]),
    ("ConstantPad2d", ((1, -1, -2, 1), 0.5), {}, [("normal", (1, 2, 3, 4))]),
    ("ZeroPad1d", ((1, 2),), {}, [("normal", (2, 3))]),
    ("ZeroPad2d", ((1, 0, 2, 3),), {}, [("normal", (1, 2, 3, 4))]),
    ("ZeroPad3d", (1,), {}, [("normal", (1, 1, 2, 2, 1))]),
    ("ReflectionPad1d", ((2, 1),), {}, [("normal", (1, 2, 4))]),
    ("ReflectionPad2d", ((2, 1, 0, 1),), {}, [("normal", (1, 2, 3, 4))]),
    ("ReflectionPad2d", ((2, -1, 0, 1),), {}, [("normal", (1, 2, 3, 4))]),
    ("ReflectionPad3d", (1,), {}, [("normal", (1, 1, 2, 3, 2))]),
    ("ReplicationPad1d", ((2, 5),), {}, [("normal", (1, 2, 2))]),
    ("ReplicationPad2d", (1,), {}, [("normal", (2, 3, 2))]),
    ("ReplicationPad3d", ((0, 1, 2, 0, 1, 3),), {}, [("normal", (1, 1, 2, 1, 2))]),
    ("CircularPad1d", (2,), {}, [("normal", (1, 2, 4))]),
    ("CircularPad2d", ((1, 2, 0, 3),), {}, [("normal", (1, 2, 3, 4))]),
    ("CircularPad3d", (1,), {}, [("normal", (1, 1, 2, 2, 2))]),
    # Distances
    ("CosineSimilarity", (), {}, [("normal", (3, 4)), ("normal", (3, 4))]),
    ("CosineSimilarity", (), {"dim": -2}, [("normal", (3, 4)), ("normal", (3, 4))]),
    ("PairwiseDistance", (), {}, [("normal", (3, 4)), ("normal", (3, 4))]),
    ("PairwiseDistance", (1.0,), {"keepdim": True}, [("normal", (3, 4)), ("normal", (3, 4))]),
    # Activations
    ("RReLU", (), {}, []),
    ("RReLU", (0.1, 0.1), {}, [("normal", (3, 4))]),
    ("GLU", (), {}, [("normal", (3, 4))]),
    ("GLU", (0,), {}, [("normal", (4, 3))]),
    ("Softmax2d", (), {}, [("normal", (2, 3, 2, 2))]),
    ("PReLU", (), {}, [("normal", (3, 4))]),
    ("PReLU", (4, 0.5), {}, [("normal", (3, 4))]),
    *[
        (name, (), {}, [("normal", (3, 4))])
        for name in (
            "CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid", "Mish",
            "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink",
        )
    ],
    ("ReLU", (True,), {}, [("normal", (3, 4))]),
    ("CELU", (0.5,), {}, [("normal", (3, 4))]),
    ("ELU", (0.5, True), {}, [("normal", (3, 4))]),
    ("GELU", ("tanh",), {}, [("normal", (3, 4))]),
    ("Hardtanh", (-0.5, 0.3), {}, [("normal", (3, 4))]),
    ("LeakyReLU", (0.2,), {}, [("normal", (3, 4))]),
    ("Softplus", (2, 1), {}, [("normal", (3, 4))]),
    ("Threshold", (0.1, 20.0), {}, [("normal", (3, 4))]),
    *[(name, (), {"dim": 0}, [("normal", (3, 4))]) for name in ("LogSoftmax", "Softmax", "Softmin")],
    # Losses
    ("L1Loss", (), {}, [("normal", (3, 4)), ("normal", (3, 4))]),
    ("MSELoss", (), {"reduction": "sum"}, [("normal", (3, 4)), ("normal", (3, 4))]),
    ("HuberLoss", (), {"delta": 0.5}, [("normal", (3, 4)), ("normal", (3, 4))]),
    ("SmoothL1Loss", (), {"beta": 0.5}, [("normal", (3, 4)), ("normal", (3, 4))]),
    ("PoissonNLLLoss", (), {"full": True}, [("normal", (3, 4)), ("positive", (3, 4))]),
    ("PoissonNLLLoss", (False,), {"reduction": "none"}, [("positive", (3, 4)), ("positive", (3, 4))]),
    ("GaussianNLLLoss", (), {"full": True}, [("normal", (3, 4)), ("normal", (3, 4)), ("positive", (3, 4))]),
    ("KLDivLoss", (), {"reduction": "batchmean"}, [("normal", (3, 4)), ("positive", (3, 4))]),
    ("KLDivLoss", (), {"reduction": "sum", "log_target": True}, [("normal", (3, 4)), ("normal", (3, 4))]),
    ("CrossEntropyLoss", (), {}, [("normal", (5, 4)), (4, (5,))]),
    ("CrossEntropyLoss", (), {"weight": W, "label_smoothing": 0.1}, [("normal", (5, 4)), (4, (5,))]),
    ("CrossEntropyLoss", (), {"ignore_index": 2, "reduction": "none"}, [("normal", (2, 4, 3)), (4, (2, 3))]),
    ("NLLLoss", (), {"weight": W, "ignore_index": 1}, [("normal", (5, 4)), (4, (5,))]),
    ("BCELoss", (), {"weight": W}, [("unit", (3, 4)), ("unit", (3, 4))]),
    ("BCEWithLogitsLoss", (), {"weight": W, "pos_weight": W}, [("normal", (3, 4)), ("unit", (3, 4))]),
    ("SoftMarginLoss", (), {}, [("normal", (3, 4)), ("sign", (3, 4))]),
    ("MultiMarginLoss", (), {}, [("normal", (5, 4)), (4, (5,))]),
    ("MultiMarginLoss", (2, 0.5), {"weight": W, "reduction": "none"}, [("normal", (5, 4)), (4, (5,))]),
    ("MultiLabelMarginLoss", (), {}, [("normal", (5, 4)), (4, (5, 4))]),
    ("MultiLabelSoftMarginLoss", (), {"weight": W}, [("normal", (5, 4)), ("unit", (5, 4))]),
    ("HingeEmbeddingLoss", (), {"margin": 0.5}, [("normal", (3, 4)), ("sign", (3, 4))]),
    ("CosineEmbeddingLoss", (), {"margin": 0.2}, [("normal", (3, 4)), ("normal", (3, 4)), ("sign", (3,))]),
    ("MarginRankingLoss", (), {"margin": 0.2}, [("normal", (3,)), ("normal", (3,)), ("sign", (3,))]),
    ("TripletMarginLoss", (), {"swap": True}, [("normal", (3, 4)), ("normal", (3, 4)), ("normal", (3, 4))]),
]]  # fmt: skip
