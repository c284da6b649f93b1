"""Large parameters are written from their own memory: the file is what protobuf would write, and little is allocated."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

onnx = pytest.importorskip("onnx")


def network():
    tg.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 64, 11), nn.Flatten(), nn.Linear(64, 300), nn.BatchNorm1d(300), nn.ReLU(), nn.Linear(300, 100)
    ).eval()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_file_has_the_parameters_and_the_checker_takes_it(dtype, tmp_path):
    model, x = network().to(dtype), np.random.default_rng(0).normal(size=(2, 3, 11, 11)).astype(dtype)
    path = tmp_path / "model.onnx"
    tg.onnx.export(model, x, path)
    stream = io.BytesIO()
    tg.onnx.export(model, x, stream)
    assert stream.getvalue() == path.read_bytes()
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.ByteSize() == path.stat().st_size
    found = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    state = model.state_dict()
    for name in ("0.weight", "2.weight", "5.weight"):
        np.testing.assert_array_equal(found[name], state[name])
        assert found[name].dtype == dtype
    assert [port.name for port in proto.graph.input] == ["x"]
    np.testing.assert_allclose(tg.onnx.load(path)(x).numpy(), model(x).numpy(), rtol=1e-5)


def test_the_memory_of_a_large_model_is_not_allocated_again():
    model = nn.Sequential(nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 1024))  # 8 MiB

    class Nowhere(io.RawIOBase):
        def write(self, piece):
            return len(piece)

    tg.onnx.export(nn.Linear(2, 2), np.ones((1, 2), np.float32), Nowhere())  # what is imported and kept the first time
    tracemalloc.start()
    try:
        tg.onnx.export(model, np.ones((1, 1024), np.float32), Nowhere())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
