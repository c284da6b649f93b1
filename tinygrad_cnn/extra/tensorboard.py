"""A training in TensorBoard's files."""

from __future__ import annotations

import base64
import math
import os
import struct
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import check_path, checked, flag
from ..training.callbacks import Callback
from ..training.measure import modes

if TYPE_CHECKING:
    from ..nn import Module
    from ..tensor import Tensor
    from ..training.run import Run

IMAGES = 16
"""Examples of the first batch that are shown."""


class TensorBoard(Callback):
    """Writes a training for TensorBoard, with tensorboardX: ``pip install 'tinygrad_cnn[tensorboard]'``.

    Scalars: the loss and the learning rate by step ("loss/step", "lr"), and the history by epoch ("loss/training",
    "loss/validation", and so on for each metric). Histograms of weights and gradients after each epoch. Images: the first
    batch, and the filters of the first convolution after each epoch. The graph of the model, by modules. All have the number
    of the step. A resumed run hides what was written after its checkpoint. Measures that callbacks add with
    ``run.history.note`` are written if the callbacks stand before this one.

    Args:
        folder: the folder of the run, which is made if it is missing; ``tensorboard --logdir`` takes it or the one above.
        every: the number of steps between two scalars by step.
        histograms, images, graph: whether to write them.

    Raises:
        ImportError: if tensorboardX is missing.
        ValueError: if `every` is not a whole number of at least 1.
    """

    on_first_rank_only = True

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: int = 1,
        histograms: bool = True,
        images: bool = True,
        graph: bool = True,
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"TensorBoard: `every` is {every!r}; it must be a whole number of at least 1")
        checked("TensorBoard", {"histograms": flag, "images": flag, "graph": flag}, locals())
        check_path("TensorBoard", folder, "folder")
        self.folder, self.every = os.fspath(folder), every
        self.histograms, self.images, self.graph = histograms, images, graph
        self._writer: Any = None
        self._began = False
        _tensorboard()

    def on_fit_begin(self, run: Run) -> None:
        """Open a file."""
        self._writer = _tensorboard().SummaryWriter(self.folder, purge_step=run.step + 1 if run.step else None)
        self._began = bool(run.step)

    def on_step_end(self, run: Run) -> None:
        """Write the scalars of the step; after the first one, its images and the graph."""
        if not self._began:
            self._began = True
            if self.images:
                self._image("batch", run.parts[0]._array[:IMAGES], "input", run.step)
            if self.graph:
                graph = graph_def(run.model, run.parts[:-1]).SerializeToString()
                self._writer.file_writer.add_event(_protos().Event(graph_def=graph))
        if run.step % self.every == 0:
            self._writer.add_scalar("loss/step", run.means.last, run.step)
            self._writer.add_scalar("lr", float(run.optimizer.param_groups[0]["lr"]), run.step)

    def on_epoch_end(self, run: Run) -> None:
        """Write the history, histograms and filters."""
        for name, value in run.history.last.items():
            if name == "lr" or math.isnan(value):  # a later callback's, not noted yet
                continue
            part = "validation" if name.startswith("val_") else "training"
            self._writer.add_scalar(f"{name.removeprefix('val_')}/{part}", value, run.step)
        named = list(run.model.named_parameters())
        if self.histograms:
            from ..training.records import gradient_of

            for name, parameter in named:
                self._histogram(f"weights/{name}", parameter._array, run.step)
                self._histogram(f"gradients/{name}", gradient_of(parameter), run.step)
        filters = next(((name, p._array) for name, p in named if p.ndim == 4), None)
        if self.images and filters is not None:
            self._image(f"filters/{filters[0]}", filters[1], "parameter", run.step)
        self._writer.flush()

    def on_fit_end(self, run: Run) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _histogram(self, tag: str, values: Any, step: int) -> None:
        if values is not None and (finite := values[np.isfinite(values)]).size:
            self._writer.add_histogram(tag, finite, step)

    def _image(self, tag: str, array: Any, kind: str, step: int) -> None:
        """A picture of an array, as `show` draws it, if it can be drawn."""
        from .show.png import picture

        found = picture(array[:, None] if array.ndim == 3 else array, kind)
        if found is None:
            return
        data = base64.b64decode(found.partition(",")[2])
        width, height = struct.unpack(">II", data[16:24])
        protos = _protos()
        image = protos.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=data)
        summary = protos.Summary(value=[protos.Summary.Value(tag=tag, image=image)])
        self._writer.file_writer.add_summary(summary, step)


def graph_def(model: Module, inputs: Any) -> Any:
    """The graph of a call of the model, in evaluation mode, as TensorBoard's GraphDef: a node for each op, parameter and input,
    with the modules as scopes."""
    from .show import show

    protos = _protos()
    first: list[Tensor] = [part[:1].detach() for part in inputs]
    with modes(model):
        model.eval()
        data = show(model, *first, backward=False).data
    scopes: dict[int | None, str] = {None: ""}
    own_scopes = scopes.copy()  # of parameters and buffers, which belong to modules, not to functions
    for group in data["groups"]:
        is_function = group["type"] == "function"
        label = group["name"] if is_function else f"{group['type']}[{group['name']}]".removesuffix("[]")
        scope = scopes[group["id"]] = f"{scopes[group['parent']]}{label}/"
        own_scopes[group["id"]] = own_scopes[group["parent"]] if is_function else scope
    names: dict[int, str] = {}
    met: Counter[str] = Counter()
    for node in data["nodes"]:
        is_own = node["kind"] in ("parameter", "buffer")
        own = node["name"].rpartition(".")[2] if is_own else node["name"]
        name = (own_scopes if is_own else scopes)[node["group"]] + (own or node["op"] or node["kind"])
        met[name] += 1
        names[node["id"]] = name if met[name] == 1 else f"{name}({met[name]})"
    nodes = []
    for node in data["nodes"]:
        dims = [protos.TensorShapeProto.Dim(size=size) for size in node["shape"]]
        attributes = {
            "_output_shapes": protos.AttrValue(
                list=protos.AttrValue.ListValue(shape=[protos.TensorShapeProto(dim=dims)])
            ),
            **{key: protos.AttrValue(s=str(value).encode()) for key, value in node["params"].items()},
        }
        sources = [names[each["node"]] for each in node["inputs"] if "node" in each]
        nodes.append(
            protos.NodeDef(name=names[node["id"]], op=node["op"] or node["kind"], input=sources, attr=attributes)
        )
    return protos.GraphDef(node=nodes, versions=protos.VersionDef(producer=22))


def _tensorboard() -> Any:
    try:
        import tensorboardX
    except ImportError:
        raise ImportError(
            "TensorBoard: tensorboardX is not installed; pip install 'tinygrad_cnn[tensorboard]'"
        ) from None
    return tensorboardX


def _protos() -> Any:
    """The messages of TensorBoard's files, by name."""
    from types import SimpleNamespace

    from tensorboardX.proto import (
        attr_value_pb2,
        event_pb2,
        graph_pb2,
        node_def_pb2,
        summary_pb2,
        tensor_shape_pb2,
        versions_pb2,
    )

    return SimpleNamespace(
        AttrValue=attr_value_pb2.AttrValue, Event=event_pb2.Event, GraphDef=graph_pb2.GraphDef,
        NodeDef=node_def_pb2.NodeDef, Summary=summary_pb2.Summary,
        TensorShapeProto=tensor_shape_pb2.TensorShapeProto, VersionDef=versions_pb2.VersionDef,
    )  # fmt: skip
