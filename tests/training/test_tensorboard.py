"""The files that TensorBoard reads have what happened, and writing them changes nothing."""

from __future__ import annotations

import importlib.util
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.training import Callback, Checkpoint, TensorBoard

from .common import Parts, assert_same, measures

needed = pytest.mark.skipif(
    importlib.util.find_spec("tensorboardX") is None, reason="not installed: pip install tensorboardX"
)


def events(folder):
    """The records of all files of a folder, read by the description of the format: length, checksum, data, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def values(folder):
    """Every value as (tag, step, the value)."""
    return [(value.tag, event.step, value) for event in events(folder) for value in event.summary.value]


def scalars(folder):
    found = {}
    for tag, step, value in values(folder):
        if value.WhichOneof("value") == "simple_value":
            found.setdefault(tag, {})[step] = value.simple_value
    return found


@needed
@pytest.mark.parametrize("compile", [False, True])
def test_training_is_the_same_to_the_bit(tmp_path, compile):
    found = []
    for callbacks in ([], [TensorBoard(tmp_path)]):
        parts = Parts()
        history = parts.fit(validate=parts.validate, callbacks=callbacks, compile=compile)
        found.append((measures(history), parts.state()))
    assert_same(*found)


@needed
def test_scalars(tmp_path):
    steps = []

    class Losses(Callback):
        def on_step_end(self, run):
            steps.append(run.means.last)

        def on_epoch_end(self, run):
            run.history.note(extra=run.epoch, late=np.nan)

    parts = Parts()
    history = parts.fit(epochs=2, validate=parts.validate, callbacks=[Losses(), TensorBoard(tmp_path)])
    found = scalars(tmp_path)
    assert found.pop("loss/step") == pytest.approx(dict(enumerate(steps, start=1)), rel=1e-6)
    assert found.pop("lr") == pytest.approx(dict.fromkeys(range(1, 13), 0.01))
    assert found.keys() == {
        "loss/training", "loss/validation", "accuracy/training", "accuracy/validation", "seconds/training", "extra/training",
    }  # fmt: skip
    for name, (column, part) in {"val_loss": ("loss", "validation"), "accuracy": ("accuracy", "training")}.items():
        assert found[f"{column}/{part}"] == pytest.approx(dict(zip([6, 12], history[name], strict=True)), rel=1e-6)


@needed
def test_every_so_many_steps(tmp_path):
    Parts().fit(epochs=2, callbacks=[TensorBoard(tmp_path, every=5, histograms=False, images=False, graph=False)])
    assert list(scalars(tmp_path)["loss/step"]) == [5, 10]
    assert {value.WhichOneof("value") for _, _, value in values(tmp_path)} == {"simple_value"}
    assert not any(event.graph_def for event in events(tmp_path))


@needed
def test_histograms_are_of_weights_and_gradients(tmp_path):
    parts = Parts()
    parts.fit(epochs=1, callbacks=[TensorBoard(tmp_path)])
    found = {tag: value.histo for tag, step, value in values(tmp_path) if value.WhichOneof("value") == "histo"}
    for name, parameter in parts.model.named_parameters():
        weights, gradients = parameter.numpy(), parameter.grad.numpy()
        for kind, array in (("weights", weights), ("gradients", gradients)):
            histogram = found.pop(f"{kind}/{name}")
            assert histogram.num == array.size
            assert histogram.sum == pytest.approx(array.astype(np.float64).sum(), rel=1e-4, abs=1e-5)
            assert (histogram.min, histogram.max) == pytest.approx((array.min(), array.max()), rel=1e-6)
    assert not found


@needed
def test_images_are_files_of_the_size_that_is_told(tmp_path):
    Parts().fit(epochs=2, callbacks=[TensorBoard(tmp_path)])
    images = [(tag, step, value.image) for tag, step, value in values(tmp_path) if value.WhichOneof("value") == "image"]
    assert [(tag, step) for tag, step, _ in images] == [("batch", 1), ("filters/0.weight", 6), ("filters/0.weight", 12)]
    for _, _, image in images:
        assert image.encoded_image_string.startswith(b"\x89PNG")
        assert struct.unpack(">II", image.encoded_image_string[16:24]) == (image.width, image.height)
    assert images[1][2].encoded_image_string != images[2][2].encoded_image_string


@needed
def test_an_image_may_be_wide(tmp_path):
    model = tg.nn.Sequential(tg.nn.Flatten(), tg.nn.Linear(20, 2))
    data = np.ones((1, 2, 10), np.float32), np.zeros(1, int)
    optimizer = tg.optim.SGD(model.parameters())
    tg.fit(model, data, tg.cross_entropy, optimizer, epochs=1, progress=False, callbacks=[TensorBoard(tmp_path)])
    (image,) = [value.image for tag, _, value in values(tmp_path) if tag == "batch"]
    assert (image.height, image.width) == (2, 10)


@needed
def test_the_graph_has_modules_as_scopes_and_edges_between_names(tmp_path):
    from tensorboardX.proto.graph_pb2 import GraphDef

    Parts().fit(epochs=1, callbacks=[TensorBoard(tmp_path)])
    (data,) = [event.graph_def for event in events(tmp_path) if event.graph_def]
    nodes = {node.name: node for node in GraphDef.FromString(data).node}
    assert len(nodes) == len(GraphDef.FromString(data).node), "a name occurs twice"
    convolution = nodes["Sequential/Conv2d[0]/convolve"]
    assert list(convolution.input) == ["x", "Sequential/Conv2d[0]/weight", "Sequential/Conv2d[0]/bias"]
    assert convolution.attr["stride"].s == b"(2, 2)"
    sizes = [dim.size for dim in convolution.attr["_output_shapes"].list.shape[0].dim]
    assert sizes == [1, 3, 3, 3]
    assert nodes["Sequential/BatchNorm2d[1]/running_mean"].op == "buffer"
    assert {name for node in nodes.values() for name in node.input} <= nodes.keys()


@needed
def test_a_model_of_several_inputs_with_other_outputs_than_a_tensor(tmp_path):
    class Pair(tg.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.linear = tg.nn.Embedding(5, 3), tg.nn.Linear(3, 2)

        def forward(self, words, x):
            return {"scores": self.linear(self.embedding(words).sum(axis=1) + x)}

    model = Pair()
    data = np.zeros((6, 4), int), np.ones((6, 3), np.float32), np.zeros(6, int)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    tg.fit(
        model, data, lambda output, target: tg.cross_entropy(output["scores"], target), optimizer, epochs=1, metrics=[],
        progress=False, callbacks=[TensorBoard(tmp_path)],
    )  # fmt: skip
    assert any(event.graph_def for event in events(tmp_path))


@needed
def test_a_resumed_run_hides_what_came_after_its_checkpoint(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run.npz")
    Parts().fit(epochs=1, callbacks=[TensorBoard(tmp_path / "log"), checkpoint])
    Parts().fit(epochs=2, callbacks=[TensorBoard(tmp_path / "again")], resume=checkpoint.path)
    starts = [event for event in events(tmp_path / "again") if event.WhichOneof("what") == "session_log"]
    assert [event.step for event in starts] == [7]
    assert list(scalars(tmp_path / "again")["loss/step"]) == [*range(7, 13)]


@needed
def test_bad_arguments(tmp_path):
    for every in (0, 1.5, True):
        with pytest.raises(ValueError, match="TensorBoard: `every`"):
            TensorBoard(tmp_path, every=every)


@pytest.mark.slow
def test_without_the_package_it_says_what_to_install():
    script = (
        "import sys; sys.modules['tensorboardX'] = None\n"
        "import tinygrad_cnn as tg\n"
        "try:\n    tg.training.TensorBoard('log')\n"
        "except ImportError as error:\n    print(error)\n"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", script], check=True, cwd=root, capture_output=True, encoding="utf-8")
    assert "tensorboardX is not installed; pip install 'tinygrad_cnn[tensorboard]'" in run.stdout
