"""The summary of an ONNX file: ``python -m tinygrad_cnn.extra.onnx model.onnx``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .model import GraphModule, load


def main(argv: Sequence[str] | None = None) -> int:
    """Print the summary. The exit code is 1 if the file cannot be read or called."""
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_cnn.extra.onnx", description="Print the summary of an ONNX file."
    )
    parser.add_argument("path", help="the file")
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="[NAME=]SIZES",
        help="the shape of an input whose sizes the file leaves open, such as x=1,3,48,192; NAME only if there are several",
    )
    options = parser.parse_args(argv)
    try:
        model = load(options.path)
        print(
            f"opset {model.opset}, inputs {', '.join(map(str, model.ports))}, outputs {', '.join(model.output_names)}"
        )
        model.summary(*_shapes(model, options.shape))
    except (ValueError, OSError, ImportError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


def _shapes(model: GraphModule, given: Sequence[str]) -> list[tuple[int, ...] | None]:
    """The shape of each input, None for the shape in the file. ValueError for an invalid shape."""
    found: dict[str, tuple[int, ...]] = {}
    for text in given:
        name, equals, sizes = text.rpartition("=")
        if not equals and len(model.input_names) == 1:
            name = model.input_names[0]
        if name not in model.input_names:
            raise ValueError(
                f"--shape {text}: name one of the inputs, {', '.join(model.input_names)}, as in NAME=1,3,48,192"
            )
        try:
            found[name] = tuple(int(n) for n in sizes.split(","))
        except ValueError:
            raise ValueError(f"--shape {text}: {sizes!r} is not a list of sizes such as 1,3,48,192") from None
    return [found.get(name) for name in model.input_names] if found else []


if __name__ == "__main__":
    raise SystemExit(main())
