"""The page: one HTML file with its data, scripts and styles, and its form in a notebook."""

from __future__ import annotations

import html
import json
import math
import os
import re
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

from ...io.atomic import replacing
from .few import BINS

LIMIT = 5_000_000
"""The default limit of a page, in bytes."""

HEIGHT = 560
"""Pixels of a page in a notebook."""

MODULES = ("format", "graph", "layout", "details", "view", "picture", "play", "outline", "main")
"""The scripts, each after the scripts that it imports."""


class Page:
    """The page of a graph, which :func:`tinygrad_cnn.show` returns. A notebook displays it.

    Attributes:
        data: the graph as plain dicts and lists, which JSON can hold but for NaN and infinity. "nodes" come after their
            inputs; see the guide for what they have.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def save(self, path: str | os.PathLike[str], *, max_bytes: int | None = LIMIT) -> Path:
        """Write the page to a file, atomically. The file needs no network and no other file.

        A symbolic link is kept, and so are the permissions of an old file.

        Args:
            path: the file.
            max_bytes: where the page would be larger, pictures, gradients along edges, histograms and numbers are left out, in
                this order, and it says so. None for no limit.

        Returns:
            The path.

        Raises:
            OSError: if the file cannot be written; what was there is untouched then.
            ValueError: if the page is larger than `max_bytes` even so.
        """
        target = Path(path)
        return write(target, self.html(max_bytes=max_bytes))

    def html(self, *, max_bytes: int | None = LIMIT) -> str:
        """The text of the page. ValueError as in :meth:`save`.

        >>> import tinygrad_cnn as tg
        >>> x = tg.Tensor([1.0, 2.0], requires_grad=True)
        >>> tg.show((x * x).sum()).html().startswith("<!doctype html>")
        True
        """
        frame = document(
            "graph.html", MODULES, {"TITLE": html.escape(self.data["title"] or "graph").replace("@", "&#64;")}
        )
        space = math.inf if max_bytes is None else max_bytes - len(frame.encode()) - 200
        return frame.replace("@DATA@", fitted(self.data, space, max_bytes))

    def open(self) -> Path:
        """Save the page to a temporary file and show it in the browser. Returns the path of the file.

        Raises:
            RuntimeError: if there is no browser; the message has the path.
        """
        handle, name = tempfile.mkstemp(prefix="graph-", suffix=".html")
        os.close(handle)
        path = self.save(name)
        if not webbrowser.open(path.as_uri()):
            raise RuntimeError(f"Page.open: no browser was found; the page is in {path}")
        return path

    def _repr_html_(self) -> str:
        return framed(self.html(), self.data["title"])

    def __repr__(self) -> str:
        title = self.data["title"]
        return f"<Page of {title!r}: {len(self.data['nodes'])} values; .save(path), .open() or .data>"


def framed(text: str, title: str) -> str:
    """A page inside a notebook, where it may not touch the notebook itself."""
    return _frame("srcdoc", text, title, "allow-scripts allow-downloads")


def linked(address: str, title: str) -> str:
    """A link to the page of a server, and the page inside a notebook: of the server's origin, not of the notebook's."""
    link = f'<a href="{address}" target="_blank" rel="noreferrer">{address}</a><br>'
    return link + _frame("src", address, title, "allow-scripts allow-downloads allow-same-origin")


def _frame(attribute: str, source: str, title: str, sandbox: str) -> str:
    return (
        f'<iframe title="{html.escape(title)}" {attribute}="{html.escape(source, quote=True)}" width="100%" height="{HEIGHT}" '
        f'sandbox="{sandbox}" style="border: 1px solid #8884; border-radius: 8px"></iframe>'
    )


def write(path: Path, text: str) -> Path:
    """Replace a text file atomically. OSError with the path on failure."""
    try:
        with replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise type(error)(
            error.errno, f"the page cannot be written: {error.strerror}; give another path", str(path)
        ) from None
    return path


def asset(name: str, package: str = __package__) -> str:
    """The text of a file in the `assets` of a package, or else in those of this package."""
    found = files(package).joinpath("assets", name)
    if not found.is_file():
        found = files(__package__).joinpath("assets", name)
    return found.read_text(encoding="utf-8")


def document(template: str, modules: tuple[str, ...], texts: dict[str, str], package: str = __package__) -> str:
    """A page from its template in a package, with the styles, dagre and the modules, but without data."""
    texts = {
        **texts,
        "STYLE": asset("style.css"),
        "DAGRE": asset("dagre/dagre.min.js").replace("</script", "<\\/script"),
        "SCRIPT": joined([asset(f"{name}.js", package) for name in modules]),
    }
    return re.sub("@([A-Z]+)@", lambda match: texts.get(match[1], match[0]), asset(template, package))


def joined(modules: list[str]) -> str:
    """ES modules joined into one: without their imports from each other, and with their exports as plain names.

    A page that is opened from a file may not import others.
    """
    text = "\n".join(re.sub(r"^import [^;]*;\n", "", module, flags=re.MULTILINE) for module in modules)
    return re.sub(r"^export (?=function|const|class|async)", "", text, flags=re.MULTILINE)


NODE: dict[str, Any] = {
    "kind": "op", "op": None, "name": "", "label": "", "shape": [], "dtype": "float32", "inputs": [], "params": {},
    "group": None, "place": None, "value": None, "gradient": None, "requires_grad": True, "output": False,
    "recomputed": False,
}  # fmt: skip
SUMMARY = {"size": 1, "nan": 0, "inf": 0, "values": None, "picture": None, "histogram": None}
"""Default values: a page omits them in nodes and summaries, and `graph.js` restores them."""

DIGITS = ("mean", "std", "min", "max", "norm", "zeros")
"""Numbers that a page stores to five digits. It shows four."""


def compact(data: dict[str, Any]) -> dict[str, Any]:
    """The data without default values. Nodes, inputs and summaries are new dicts."""
    nodes = []
    files = {node["place"][0]: None for node in data["nodes"] if node["place"]}
    numbers = {name: number for number, name in enumerate(files)}
    for node in data["nodes"]:
        less = {key: value for key, value in node.items() if key != "id" and value != NODE[key]}
        if "place" in less:
            less["place"] = [numbers[less["place"][0]], less["place"][1]]
        for key in ("value", "gradient"):
            if key in less:
                less[key] = _less(less[key])
        if "inputs" in less:
            less["inputs"] = [
                {key: _less(value) if key == "gradient" else value for key, value in given.items() if value is not None}
                for given in less["inputs"]
            ]
        nodes.append(less)
    groups = [[group["id"], group["name"], group["type"], group["parent"]] for group in data["groups"]]
    return {**data, "nodes": nodes, "groups": groups, "files": list(files)}


def _less(summary: dict[str, Any]) -> dict[str, Any]:
    return {
        key: float(f"{value:.5g}") if key in DIGITS else value
        for key, value in summary.items()
        if (value is not None if key in DIGITS else key not in SUMMARY or value != SUMMARY[key])
    }


def embedded(data: Any) -> str:
    """JSON for a script element: NaN and infinity as strings, and no text that could end the element."""
    try:
        text = _json(data)
    except ValueError:  # rare: checking every number is slow
        text = _json(_plain(data))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


KEY = len('"min":0,')
"""The least characters of a number with its key."""

SOME = 50
"""The number of nodes that are written at a time."""

_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return value
    return value


def fitted(data: dict[str, Any], space: float, limit: int | None) -> str:
    """The data as JSON for a page. Parts are left out until it fits into `space` bytes."""
    less = compact(data)
    left_out: list[str] = []
    for what, strip in STRIPS.items():
        if _least(less) <= space and (text := _within(less, space)) is not None:
            return text
        strip(less)
        left_out.append(what)
        note = f"To keep the page small, {', '.join(left_out)} were left out; save(path, max_bytes=None) keeps them."
        less["notes"] = [*data["notes"], note]
    text = embedded(less)
    if len(text) <= space:
        return text
    least = len(text) + (limit or 0) - space
    raise ValueError(
        f"Page.save: the page of {len(data['nodes'])} values needs {least:,.0f} bytes and more, and `max_bytes` is {limit:,}; "
        "give max_bytes=None, or show a part of the model"
    )


def _least(data: dict[str, Any]) -> int:
    """How many characters the JSON has at least: those of pictures and keys, and two for each number of an array."""
    found = 0
    for summary in _summaries(data):
        found += KEY * len(summary) + len(summary.get("picture", ()))
        if "values" in summary:
            found += 2 * summary.get("size", 1)
        if "histogram" in summary:
            found += 2 * BINS
    return found


def _within(data: dict[str, Any], space: float) -> str | None:
    """The JSON of these data; None if it has more than `space` characters, which is known before all of it is written."""
    nodes, written = data["nodes"], []
    rest = {key: value for key, value in data.items() if key != "nodes"}
    before, after = embedded({**rest, "nodes": []})[:-2], "]}"
    space -= len(before) + len(after)
    for start in range(0, len(nodes), SOME):
        written.append(embedded(nodes[start : start + SOME])[1:-1])
        space -= len(written[-1]) + (start > 0)
        if space < 0:
            return None
    return before + ",".join(written) + after


def _slopes(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for node in data["nodes"]:
        if "gradient" in node:
            yield node["gradient"]
        yield from (given["gradient"] for given in node.get("inputs", ()) if "gradient" in given)


def _summaries(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (node["value"] for node in data["nodes"] if "value" in node)
    yield from _slopes(data)


Select: TypeAlias = Callable[[dict[str, Any]], Iterator[dict[str, Any]]]


def _strip(select: Select, *keys: str) -> Callable[[dict[str, Any]], None]:
    def strip(data: dict[str, Any]) -> None:
        for summary in select(data):
            if summary.get("size", 1) > 1:
                for key in keys:
                    summary.pop(key, None)

    return strip


def _strip_edges(data: dict[str, Any]) -> None:
    for node in data["nodes"]:
        for given in node.get("inputs", ()):
            given.pop("gradient", None)


STRIPS: dict[str, Callable[[dict[str, Any]], None]] = {
    "pictures of gradients": _strip(_slopes, "picture"),
    "other pictures": _strip(_summaries, "picture"),
    "gradients along edges": _strip_edges,
    "histograms": _strip(_summaries, "histogram"),
    "numbers of small arrays": _strip(_summaries, "values"),
    "all but mean, spread and norm": _strip(_summaries, "min", "max", "zeros"),
    "all of gradients but the norm": _strip(_slopes, "mean", "std"),
}
"""Functions that remove parts of a page that would be too large, in this order. They change the result of :func:`compact`."""
