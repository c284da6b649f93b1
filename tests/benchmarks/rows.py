"""What is measured: the rows, the sides that take part in them, and the ratios that we aim at."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from . import problems
from .problems import Problem


@dataclass(frozen=True)
class Side:
    """One way to do the work: a module in `libraries/`, which needs a package, and arguments for its functions."""

    title: str
    module: str
    package: str
    arguments: dict[str, bool] = field(default_factory=dict)
    settings: dict[str, bool] = field(default_factory=dict)
    """What its module is told before each of its turns."""

    @property
    def installed(self) -> bool:
        """Whether its package can be imported."""
        return importlib.util.find_spec(self.package) is not None

    def load(self) -> Any:
        """Its module. Only here is the library imported, so a process holds those that it compares and no others."""
        return importlib.import_module(f".libraries.{self.module}", __package__)

    def build(self, work: str, problem: Problem) -> Callable[[], Any]:
        """The call to be timed."""
        call: Callable[[], Any] = getattr(self.load(), work)(problem, **self.arguments)
        return call

    def begin(self) -> None:
        """Set what holds for a whole process, and which another side of it may have set otherwise."""
        if self.settings:
            self.load().begin(**self.settings)


SIDES = {
    "eager": Side("eager", "ours", "tinygrad_cnn", settings={"numba": False}),
    "numba": Side("with Numba", "ours", "numba", settings={"numba": True}),
    "compiled": Side("compiled", "ours", "tinygrad_cnn", {"compiled": True}),
    "both": Side("compiled, with Numba", "ours", "numba", {"compiled": True}, {"numba": True}),
    "frozen": Side("frozen", "ours", "tinygrad_cnn", {"frozen": True}),
    "frozen-numba": Side("frozen, with Numba", "ours", "numba", {"frozen": True}, {"numba": True}),
    "pytorch": Side("PyTorch", "pytorch", "torch"),
    "pytorch-last": Side("PyTorch, channels last", "pytorch", "torch", {"last": True}),
    "pytorch-frozen": Side("torch.jit.freeze", "pytorch", "torch", {"frozen": True}),
    "pytorch-frozen-last": Side("torch.jit.freeze, channels last", "pytorch", "torch", {"last": True, "frozen": True}),
    "inductor": Side("torch.compile", "pytorch", "torch", {"compiled": True}),
    "numpy": Side("NumPy by hand", "handwritten", "numpy"),
    "jax": Side("jax.jit", "jax", "jax"),
}

Targets = dict[tuple[str, str], float | None]
"""(ours, peer) -> the ratio of their times that we aim at; None where it is only reported."""


@dataclass(frozen=True)
class Row:
    """A line of a table. `work` names the function in the libraries' modules, `threads` PyTorch's (the faster counts)."""

    name: str
    title: str
    work: str
    problem: Callable[[], Problem]
    targets: Targets
    group: str
    threads: tuple[int, ...] = (1, 2)
    also: tuple[str, ...] = ()
    """Other forms of the peer, measured in the same process: the fastest counts."""

    @property
    def peers(self) -> list[str]:
        """Whom it is measured beside."""
        return list(dict.fromkeys(peer for _, peer in self.targets))

    def ours(self, peer: str) -> list[str]:
        """Which of our ways are measured beside that peer, of those that are installed."""
        return [ours for ours, beside in self.targets if beside == peer and SIDES[ours].installed]


def _convolution(
    x: tuple[int, ...], w: tuple[int, ...], padding: int, target: float | None, groups: int = 1, stride: int = 1,
    last: bool = False,
) -> Row:  # fmt: skip
    n, channels, size, _ = x
    depthwise = w[1] == 1 < groups
    kind = "depthwise " if depthwise else f"{groups} groups, " if groups > 1 else ""
    title = f"convolution {n} x {channels} x {size} x {size}, {kind}{w[0]} filters {w[2]} x {w[3]}, padding {padding}"
    title += (f", stride {stride}" if stride > 1 else "") + (", channels last" if last else "")
    end = "-depthwise" if depthwise else f"-{groups}" if groups > 1 else ""
    end += (f"-s{stride}" if stride > 1 else "") + ("-last" if last else "")
    name = f"conv-{n}x{channels}x{size}-{w[0]}x{w[2]}{end}"
    problem = partial(problems.convolution, x, w, padding, groups, stride, last)
    targets: Targets = {("eager", "pytorch"): target} | ({("numba", "pytorch"): 1.1} if depthwise else {})
    return Row(name, title, "convolution", problem, targets, "ops", threads=(2,))


def _step(
    name: str,
    title: str,
    problem: Callable[[], Problem],
    eager: float,
    compiled: float,
    numpy: float | None = None,
    work: str | None = None,
) -> Row:
    targets: Targets = {("eager", "pytorch"): eager, ("compiled", "pytorch"): compiled}
    if numpy is not None:
        targets["compiled", "numpy"] = numpy
    return Row(name, title, work or problem.func.__name__, problem, targets, "steps")


def _memory(name: str, title: str, problem: Callable[[], Problem]) -> Row:
    targets: Targets = {("eager", "pytorch"): 1.2, ("compiled", "pytorch"): 1.2}
    return Row(name, title, problem.func.__name__, problem, targets, "memory")


def _network(name: str, title: str, images: int, training: bool, target: float, threads: int = 1) -> list[Row]:
    """Rows of a network in one process with PyTorch: with Numba, and, on one thread, with NumPy alone, and frozen."""
    end = f"{name}-{'train' if training else 'infer'}-{images}" + (f"-threads-{threads}" if threads > 1 else "")
    title = f"{title}, {'training' if training else 'inference'}, {images} image{'s' * (images > 1)}"
    problem = partial(problems.network, name, images, training)
    also = () if name == "mlp" else ("pytorch-last",)
    targets: dict[str, Targets] = {"": {("both", "pytorch"): target}}
    if threads == 1:
        targets = {"": targets[""] | {("both", "inductor"): None, ("both", "jax"): None}}
        targets["-numpy"] = {("compiled", "pytorch"): None}
    if threads == 1 and not training:
        targets["-numpy"]["frozen", "pytorch"] = None
        peers = ["pytorch-frozen", "pytorch-frozen-last"][: 1 + len(also)]
        beside: Targets = {("frozen-numba", peer): None for peer in peers}
        targets["-frozen"] = {
            ("numba", "pytorch"): None,
            ("both", "pytorch"): None,
            ("frozen-numba", "pytorch"): target,
        } | beside
    return [
        Row(f"net-{end}{more}", title, "network", problem, found, f"networks-{threads}{more}", (threads,), also)
        for more, found in targets.items()
    ]


def _function(name: str, title: str, problem: Callable[[], Problem], target: float | None, numba: bool = True) -> Row:
    targets: Targets = {("eager", "pytorch"): target} | ({("numba", "pytorch"): 1.1} if numba else {})
    return Row(
        name,
        f"{title}, one thread",
        name.partition("-")[0],
        problem,
        targets,
        "ops",
        threads=(1,),
    )


NETWORKS = [
    (
        "resnet18",
        "ResNet-18 (CIFAR)",
        {("train", 8): 0.80, ("train", 32): 0.78, ("infer", 1): 0.95, ("infer", 32): 0.80},
    ),
    ("unet", "U-Net", {("train", 4): 0.72, ("train", 32): 0.70}),
    ("vgg", "VGG-like", {("train", 32): 0.90, ("infer", 32): 1.0}),
    ("mobilenet", "MobileNet-like", {("train", 1): 1.3, ("train", 32): 0.95, ("infer", 1): 1.1, ("infer", 32): 0.95}),
    ("vit", "ViT-tiny", {("train", 1): 0.9, ("train", 32): 0.95, ("infer", 1): 1.1, ("infer", 32): 0.95}),
    ("lenet", "LeNet", {("train", 1): 0.44, ("train", 32): 0.85, ("train", 128): 0.95, ("infer", 32): 0.8}),
    ("mlp", "MLP 784-512-512-10", {("train", 32): 0.9, ("infer", 128): 1.0}),
]
"""Name, title, and for each kind of step and number of images the ratio to the faster memory format of PyTorch."""

ROWS = [
    Row(
        "chain",
        "1,000 multiplications of 8 x 8 float64, recorded and walked back, one thread",
        "chain",
        partial(problems.chain, 1000),
        {("eager", "pytorch"): 0.6},
        "ops",
        threads=(1,),
    ),
    _convolution((64, 1, 28, 28), (32, 1, 5, 5), 2, 0.5),
    _convolution((64, 32, 14, 14), (64, 32, 5, 5), 2, 1.3),
    _convolution((32, 64, 32, 32), (64, 64, 3, 3), 1, 1.3),
    _convolution((16, 128, 16, 16), (128, 128, 3, 3), 1, 1.3),
    _convolution((64, 32, 26, 26), (64, 32, 3, 3), 0, 1.3),
    _convolution((64, 3, 32, 32), (32, 3, 3, 3), 1, 0.8),
    _convolution((32, 64, 32, 32), (64, 1, 3, 3), 1, 3, groups=64),
    _convolution((32, 64, 32, 32), (64, 1, 3, 3), 1, None, groups=64, last=True),
    _convolution((32, 64, 32, 32), (64, 1, 3, 3), 1, None, groups=64, stride=2),
    _convolution((8, 512, 4, 4), (512, 512, 3, 3), 1, 1.3),
    _convolution((8, 256, 8, 8), (256, 256, 3, 3), 1, 1.2),
    _convolution((1, 64, 32, 32), (64, 64, 3, 3), 1, 1.3),
    _convolution((16, 64, 32, 32), (64, 1, 7, 7), 3, 3, groups=64),
    _convolution((16, 128, 16, 16), (128, 4, 3, 3), 1, 2, groups=32),
    _function(
        "linear-8",
        "linear layer, 8 x 512 to 8 x 512",
        partial(problems.function, (8, 512), (512, 512), (512,)),
        1.2,
        False,
    ),
    _function("linear-64", "64 rows", partial(problems.function, (64, 512), (512, 512), (512,)), 1.2, False),
    _function("gelu", "exact GELU of 4096 x 2048", partial(problems.function, (4096, 2048)), 2.5),
    _function("silu", "SiLU of 4096 x 2048", partial(problems.function, (4096, 2048)), 1.5),
    _function("sigmoid", "sigmoid of 4096 x 2048", partial(problems.function, (4096, 2048)), 2, numba=False),
    _function("softmax", "softmax over 128, 16,384 rows", partial(problems.function, (16384, 128)), 1.3),
    _function("log_softmax", "its logarithm", partial(problems.function, (16384, 128)), 1.3),
    _function("layer_norm", "layer norm of 8192 x 256", partial(problems.function, (8192, 256), (256,), (256,)), 5),
    _function(
        "cross_entropy", "cross-entropy of 1024 x 1000", partial(problems.function, (1024, 1000), labels=1000), 4
    ),
    _function("embedding", "embedding of 4,096 rows", partial(problems.embedding, 10000, 4096, 128), 2, numba=False),
    _function("max_pool", "max-pooling of 32 x 64 x 32 x 32 by 2", partial(problems.pooling, (32, 64, 32, 32)), None),
    _function("max_pool-last", "channels last", partial(problems.pooling, (32, 64, 32, 32), last=True), None),
    _function("cumsum", "cumulative sum of 1024 x 1024", partial(problems.function, (1024, 1024)), 1.6),
    Row(
        "adam",
        "Adam, a step of 1.2 million parameters",
        "adam",
        partial(problems.mnist, 1),
        {("eager", "pytorch"): 1.2},
        "ops",
    ),
    Row(
        "adam-fused",
        "Adam, the same, PyTorch with fused=True",
        "adam",
        partial(problems.fused, 1),
        {("eager", "pytorch"): None},
        "ops",
    ),
    _step("notebook-2", "notebook's network, 2 images", partial(problems.notebook, 2), 0.40, 0.17, 1.4),
    _step("notebook-64", "notebook's network, 64 images", partial(problems.notebook, 64), 0.70, 0.50, 1.2),
    _step("perceptron", "perceptron 20-64-64-3, 32 rows", partial(problems.perceptron, 32), 0.8, 0.4),
    _step("mnist", "MNIST CNN, 64 images, Adam", partial(problems.mnist, 64), 1.3, 1.0),
    _step(
        "mnist-inference",
        "MNIST CNN, inference of 256 images",
        partial(problems.mnist, 256),
        1.2,
        1.0,
        work="mnist_inference",
    ),
    _step("residual", "residual network, 32 images, momentum", partial(problems.residual, 32), 2.0, 1.5),
    _memory("memory-mnist", "MNIST CNN, 64 images, Adam", partial(problems.mnist, 64)),
    _memory("memory-residual", "residual network, 32 images, momentum", partial(problems.residual, 32)),
    *(
        row
        for threads in (1, 2)
        for name, title, targets in NETWORKS
        for (kind, images), target in targets.items()
        for row in _network(name, title, images, kind == "train", target, threads)
    ),
]

BY_NAME = {row.name: row for row in ROWS}
