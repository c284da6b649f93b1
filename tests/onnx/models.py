"""Where trained models are, and examples of their inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import needs


class Real(NamedTuple):
    """A trained model: the package and file in which it is, and shapes of inputs."""

    package: str
    path: str
    shapes: list[tuple[int, ...]]


OCR = "rapidocr_onnxruntime"
REAL = {
    "classifier": Real(OCR, "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", [(2, 3, 48, 192), (1, 3, 48, 192)]),
    "detector": Real(OCR, "models/ch_PP-OCRv4_det_infer.onnx", [(1, 3, 96, 160), (1, 3, 64, 96)]),
    "recognizer": Real(OCR, "models/ch_PP-OCRv4_rec_infer.onnx", [(2, 3, 48, 160), (1, 3, 48, 96)]),
    "magika": Real("magika", "models/standard_v3_3/model.onnx", [(2, 2048), (1, 2048)]),
}
LIGHT = ["densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet"]
LARGE = ["bvlc_alexnet", "vgg19", "zfnet512"]  # with more weights than a test should draw

LETTERS = {  # seven rows of five bits
    "A": (14, 17, 17, 31, 17, 17, 17), "E": (31, 16, 16, 30, 16, 16, 31), "H": (17, 17, 17, 31, 17, 17, 17),
    "O": (14, 17, 17, 17, 17, 17, 14), "S": (15, 16, 16, 14, 1, 1, 30), "T": (31, 4, 4, 4, 4, 4, 4),
}  # fmt: skip


def real_path(name: str) -> Path:
    """The file of a trained model; the test is skipped if its package is not installed."""
    return needs.model_path(REAL[name].package, REAL[name].path)


def light_path(name: str) -> Path:
    """The file of a light network."""
    return needs.model_path("onnx", f"backend/test/data/light/light_{name}.onnx")


def example(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An input: black letters on white paper, or the bytes of a program."""
    if name == "magika":
        text = Path(__file__).read_bytes()
        return np.array([list(text[i : i + shape[1]].ljust(shape[1])) for i in range(shape[0])], np.int32)
    scale = max(2, shape[2] // 16)
    images = np.full(shape, 2.0, np.float32)
    for i, image in enumerate(images):
        for j, letter in enumerate("THEHOTSEA"[i:]):
            bits = np.array([[int(bit) for bit in f"{row:05b}"] for row in LETTERS[letter]])
            glyph = np.kron(bits, np.ones((scale, scale)))
            y, x = (shape[2] - 7 * scale) // 2, scale + 6 * scale * j
            if x + glyph.shape[1] < shape[3]:
                image[:, y : y + glyph.shape[0], x : x + glyph.shape[1]][:, glyph > 0] = -2.0
    return images


def materialized(path: Path) -> bytes:
    """A light network with random initializers for the constants that it makes, scaled so that its scores stay small."""
    onnx: Any = needs.onnx()
    model = onnx.load(str(path))
    rng = np.random.default_rng(0)
    shapes = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = tuple(int(n) for n in shapes[node.input[0]])
        fan = int(np.prod(shape[1:])) or 1
        array = rng.normal(size=shape) * (2 / fan) ** 0.5 if len(shape) > 1 else rng.uniform(0.5, 1.5, shape)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array.astype(np.float32), node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model.SerializeToString()  # type: ignore[no-any-return]
