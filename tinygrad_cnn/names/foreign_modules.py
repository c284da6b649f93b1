"""Modules of PyTorch that people import, such as ``tinygrad_cnn.utils.data``: their names lead to ours, or say what to use.

They are entered into ``sys.modules``, so that an import finds them, and into their parents, where nothing lists them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from ..core.remedies import replacement
from .attributes import PACKAGE


class Foreign(NamedTuple):
    """What a module of PyTorch has."""

    ours: dict[str, str]
    """Names that mean the same here, by the modules that have them; "*" stands for all public names of one."""
    others: dict[str, str]
    """Further names, by their replacements: Python, or a reason in brackets."""


_PACKED = "(recurrent layers take padded arrays: there are no packed sequences)"
_DETECTION = "(there are no detectors by name: examples/detection.py trains a small one from tg.vision.ops)"
_MEMORY = "(each op chooses its memory order)"

MODULES = {
    "amp": Foreign({}, {"(each dtype is computed as it is: there is no autocast)": "autocast GradScaler"}),
    "distributions": Foreign({}, {
        "(there are no distributions: write the density from ops, and draw with NumPy; docs/recipes.md has some)":
        "Normal Categorical Bernoulli Uniform Beta Dirichlet MultivariateNormal Independent kl_divergence Distribution",
    }),
    "func": Foreign(
        {"": "grad vjp jvp jacrev jacfwd hessian vmap linearize", "nn": "functional_call"},
        {
            "tg.value_and_grad, which returns (value, gradient)": "grad_and_value",
            "tg.vmap over functional_call, with the parameters stacked by tg.stack": "stack_module_state",
            "nn.BatchNorm2d(track_running_stats=False)": "replace_all_batch_norm_modules_",
        },
    ),
    "nn.modules": Foreign({"nn": "*"}, {}),
    "nn.parallel": Foreign({}, {
        "(the threads of NumPy share one process; several processes train by tg.distributed.World)":
        "DataParallel DistributedDataParallel",
    }),
    "nn.utils": Foreign(
        {"optim": "clip_grad_norm_ clip_grad_value_"},
        {
            "tg.optim.clip_grad_norm_": "clip_grad_norm clip_grads_with_norm_ clip_grad",
            "tg.optim.clip_grad_norm_(parameters, math.inf), which only measures": "get_total_norm",
            "tg.nn.utils.parametrize.remove_parametrizations(module, 'weight')": "remove_weight_norm remove_spectral_norm",
            "nn.functional_call": "stateless",
            _MEMORY: "convert_conv2d_weight_memory_format convert_conv3d_weight_memory_format memory_format",
            "(layers have their values when they are made)": "skip_init init",
        },
    ),
    "nn.utils.parametrize": Foreign({}, {
        "(a module keeps its type when it is parametrized: type(module))": "type_before_parametrizations",
        "nn.utils.parametrize.register_parametrization": "transfer_parametrizations_and_params",
    }),
    "nn.utils.prune": Foreign({}, {"(a tensor is pruned again by another call)": "PruningContainer"}),
    "nn.utils.rnn": Foreign({"names.synonyms.sequences": "pad_sequence unpad_sequence"}, {
        _PACKED: "PackedSequence pack_padded_sequence pad_packed_sequence pack_sequence",
    }),
    "optim.swa_utils": Foreign({"optim": "update_bn"}, {
        "tg.optim.EMA(model)": "AveragedModel get_ema_multi_avg_fn get_ema_avg_fn",
        "tg.optim.CosineAnnealingLR(optimizer, T_max=anneal_epochs, eta_min=swa_lr)": "SWALR",
    }),
    "utils": Foreign({}, {}),
    "utils.checkpoint": Foreign({}, {
        "tg.checkpoint(f, x)": "checkpoint", "tg.checkpoint around each part of the model": "checkpoint_sequential",
    }),
    "utils.data": Foreign({"data": "*"}, {}),
    "utils.tensorboard": Foreign({}, {"tg.training.TensorBoard('runs/first'), a callback of fit": "SummaryWriter writer"}),
    "vision.datasets": Foreign({}, {
        "tg.data.ImageFolder": "ImageFolder DatasetFolder", "tg.data.mnist": "MNIST EMNIST KMNIST QMNIST",
        "tg.data.fashion_mnist": "FashionMNIST", "tg.data.cifar10": "CIFAR10", "tg.data.cifar100": "CIFAR100",
        "(write a tg.data.Dataset, which has a length and examples by number)":
        """FakeData ImageNet CocoDetection VOCDetection VOCSegmentation CelebA SVHN STL10 Cityscapes OxfordIIITPet Flowers102
        Food101 wrap_dataset_for_transforms_v2""",
    }),
    "vision.io": Foreign({}, {
        "(images are arrays: np.asarray(PIL.Image.open(path)).transpose(2, 0, 1))":
        "read_image decode_image decode_jpeg decode_png read_file ImageReadMode read_video",
        "tg.vision.utils.save_image": "write_jpeg write_png",
    }),
    "vision.models.detection": Foreign({}, {_DETECTION: """
        fasterrcnn_resnet50_fpn maskrcnn_resnet50_fpn retinanet_resnet50_fpn ssd300_vgg16 ssdlite320_mobilenet_v3_large
        fcos_resnet50_fpn FasterRCNN MaskRCNN RetinaNet"""}),
    "vision.models.feature_extraction": Foreign({}, {
        "layer.register_forward_hook, which gets the result of a layer": "create_feature_extractor get_graph_node_names",
    }),
    "vision.models.segmentation": Foreign({}, {
        "tg.vision.models.unet":
        "deeplabv3_resnet50 deeplabv3_resnet101 deeplabv3_mobilenet_v3_large fcn_resnet50 lraspp DeepLabV3",
    }),
    "vision.transforms.v2": Foreign({"vision.transforms": "*", "names.synonyms.types": "InterpolationMode"}, {}),
    "vision.transforms.v2.functional": Foreign({"vision.transforms.functional": "*"}, {}),
    "vision.tv_tensors": Foreign({}, {
        "(targets are a dict, whose names state what they are: 'boxes', 'masks', 'keypoints', 'labels'; images are arrays)":
        "Image Mask BoundingBoxes BoundingBoxFormat KeyPoints Video TVTensor wrap",
    }),
}  # fmt: skip
"""Modules of PyTorch and torchvision, by their paths below the package; those below others come after them."""

OURS = ("nn.utils", "nn.utils.parametrize", "nn.utils.prune")
"""Those that exist here: they answer only for the names that they lack."""


class _Module(ModuleType):
    """A module that has PyTorch's names.

    A name that is explained raises an ImportError, and not an AttributeError: Python tells whoever imports a name only that
    one of these was raised.
    """

    def __init__(self, path: str, foreign: Foreign) -> None:
        super().__init__(f"{PACKAGE}.{path}", f"PyTorch's names of torch.{path}: see docs/from-pytorch.md.")
        self._foreign = foreign
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        for module, names in self._homes():
            if name in names:
                return getattr(module, name)
        uses = [use for use, names in self._foreign.others.items() if name in names.split()]
        uses += [use for module, _ in self._homes() if (use := replacement(module.__name__, name)) is not None]
        if not uses:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        ending = f" {uses[0]}" if uses[0].startswith("(") else f"; use {uses[0]}"
        raise ImportError(f"cannot import name {name!r} from {self.__name__!r}{ending}", name=self.__name__)

    def __dir__(self) -> list[str]:
        return sorted([name for module, names in self._homes() for name in names] + [*below(self.__name__)])

    def _homes(self) -> Iterator[tuple[ModuleType, Sequence[str]]]:
        """Each module of ours that has some of the names, and these."""
        for place, names in self._foreign.ours.items():
            module = import_module(f"{PACKAGE}.{place}".rstrip("."))
            yield module, module.__all__ if names == "*" else names.split()


def enter() -> None:
    """Enter the modules, so that they can be imported."""
    for path, foreign in MODULES.items():
        if path in OURS:
            continue
        module = sys.modules[f"{PACKAGE}.{path}"] = _Module(path, foreign)
        above, _, name = path.rpartition(".")
        if isinstance(parent := sys.modules.get(f"{PACKAGE}.{above}"), _Module):
            setattr(parent, name, module)


def answer(module: str) -> Callable[[str], Any] | None:
    """The ``__getattr__`` of a module that exists here, with answers for PyTorch's further names."""
    path = module.removeprefix(f"{PACKAGE}.")
    return _Module(path, MODULES[path]).__getattr__ if path in OURS else None


def below(module: str) -> dict[str, ModuleType]:
    """The entered modules in a public module, by their names in it."""
    paths = [f"{PACKAGE}.{path}".rpartition(".") for path in MODULES if path not in OURS]
    return {name: sys.modules[f"{above}.{name}"] for above, _, name in paths if above == module}
