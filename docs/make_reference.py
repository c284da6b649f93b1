"""Write docs/reference/ from the docstrings: `python docs/make_reference.py`. A test fails while the pages are out of date."""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"

# For each page its title, a line about it, and its sections: a title, the name under which users reach what is in it, and the
# module that defines it, with the names to show where these are not its `__all__`; "<Base" stands for the classes in `__all__`
# that have this base.
PAGES: dict[str, tuple[str, str, list[tuple[str, str, str]]]] = {
    "tensor": ("Tensors", "The Tensor, functions that make Tensors, and the source of randomness.", [
        ("The Tensor", "tg", "tensor: Tensor get_default_dtype set_default_dtype"),
        ("Creation", "tg", "tensor.creation"),
        ("Randomness", "tg", "ops.random"),
    ]),
    "gradients": ("Gradients", "Derivatives of what was computed and of functions, and what governs how they are recorded.", [
        ("Derivatives", "tg", "transforms.autograd"),
        ("Batches", "tg", "transforms.vmap"),
        ("Recording", "tg", "core.grad_mode: no_grad enable_grad is_grad_enabled"),
        ("", "tg", "core.graph: op"),
        ("Memory and faults", "tg", "transforms.checkpoint"),
        ("", "tg", "transforms.anomaly"),
    ]),
    "elementwise": ("Elementwise ops", "Inputs broadcast as in NumPy; gradients are summed back to the shapes of the inputs.", [
        ("Arithmetic", "tg", "ops.elementwise"),
        ("Quotients, remainders and parts", "tg", "ops.rounding"),
        ("Exponentials, trigonometric and hyperbolic functions", "tg", "ops.transcendental"),
        ("Comparison and logic", "tg", "ops.compare"),
    ]),
    "activations": ("Activations", "Activation functions and the softmax family. All are in `tg.functional` too.", [
        ("Activations", "tg", "ops.activation"),
        ("Softmax", "tg", "ops.softmax"),
    ]),
    "reductions": ("Reductions", "Reductions over axes, running sums and sorting.", [
        ("Reductions", "tg", "ops.reduce"),
        ("Statistics", "tg", "ops.statistics"),
        ("NaN", "tg", "ops.nan"),
        ("Running sums", "tg", "ops.scan"),
        ("Extremes", "tg", "ops.running"),
        ("Differences", "tg", "ops.difference"),
        ("Polynomials", "tg", "ops.polynomial"),
        ("Sorting", "tg", "ops.sort"),
    ]),
    "shapes": ("Shape and index", "Ops that move, repeat, select and write elements.", [
        ("Shape", "tg", "ops.shape"),
        ("Rearrangement", "tg", "ops.rearrange"),
        ("Joining and splitting", "tg", "ops.join"),
        ("Selection", "tg", "ops.select"),
        ("Index", "tg", "ops.index"),
        ("Integer positions and labels", "tg", "ops.gather"),
        ("", "tg", "ops.scatter"),
    ]),
    "linalg": ("Linear algebra", "Products of vectors, matrices and tensors; matrices inverted, solved and decomposed.", [
        ("Products", "tg", "ops.matmul"),
        ("", "tg", "ops.einsum"),
        ("Attention", "tg", "ops.attention"),
        ("`tg.linalg`", "tg.linalg", "linalg"),
    ]),
    "convolution": ("Convolution and pooling", "Ops on (N, C, H, W) and its relatives. All are in `tg.functional` too.", [
        ("Convolution", "tg", "ops.conv"),
        ("Transposed convolution", "tg", "ops.conv_transpose"),
        ("Pooling", "tg", "ops.pool"),
        ("Adaptive pooling", "tg", "ops.adaptive_pool"),
        ("Size", "tg", "ops.resize"),
        ("", "tg", "ops.grid_sample"),
    ]),
    "normalization": ("Normalization and dropout", "Functions behind the layers. All are in `tg.functional` too.", [
        ("Normalization", "tg", "ops.normalization"),
        ("Dropout", "tg", "ops.dropout"),
    ]),
    "losses": ("Losses", "Functions of predictions and targets. All are in `tg.functional` too.", [
        ("Classes", "tg", "ops.losses.classification"),
        ("Numbers and distributions", "tg", "ops.losses.regression"),
        ("Distances", "tg", "ops.losses.distance"),
    ]),
    "nn": ("Modules", "The base of models, containers, initialization in `tg.nn.init`, and models in `tg.nn.models`.", [
        ("Modules", "tg.nn", "nn.module"),
        ("Parameters", "tg.nn", "nn.parameter"),
        ("Functions of parameters", "tg.nn", "nn.functional_call"),
        ("Containers", "tg.nn", "nn.containers"),
        ("Initialization", "tg.nn.init", "nn.init"),
        ("Models that ship", "tg.nn.models", "nn.models"),
    ]),
    "layers": ("Layers", "The modules of `tg.nn`, with PyTorch's arguments and parameter names.", [
        ("Linear, tables, shape", "tg.nn", "nn.linear"),
        ("Convolution", "tg.nn", "nn.conv"),
        ("Pooling", "tg.nn", "nn.pool"),
        ("Normalization", "tg.nn", "nn.normalization"),
        ("Dropout", "tg.nn", "nn.dropout"),
        ("Size", "tg.nn", "nn.resize"),
        ("Padding", "tg.nn", "nn.padding"),
        ("Distances", "tg.nn", "nn.distance"),
        ("Activations", "tg.nn", "nn.activation"),
        ("Losses", "tg.nn", "nn.loss"),
    ]),
    "optim": ("Optimizers", "`tg.optim`: optimizers, schedules of the learning rate, clipping and averaged weights.", [
        ("The base", "tg.optim", "optim: Optimizer"),
        ("Optimizers", "tg.optim", "optim: <Optimizer"),
        ("Clipping and averaging", "tg.optim", "optim: clip_grad_norm_ clip_grad_value_ EMA"),
        ("Schedules", "tg.optim.lr_scheduler", "optim.lr_scheduler"),
    ]),
    "data": ("Data", "`tg.data`: image sets, datasets, the loader, transforms and readers of files.", [
        ("Image sets", "tg.data", "data: digits mnist5k mnist fashion_mnist FASHION_MNIST_CLASSES enlarge"),
        ("Datasets", "tg.data", "data: Dataset TensorDataset Subset random_split stratified_split"),
        ("The loader", "tg.data", "data: DataLoader collate"),
        ("Transforms", "tg.data", "data.transforms"),
        ("Files", "tg.data", "data.readers"),
    ]),
    "training": ("Training", "`tg.training`: the loop, its callbacks, and the parts that it is made of.", [
        ("Training", "tg.training", "training"),
    ]),
    "viz": ("Pictures", "`tg.show`: a graph as a page, with its values, gradients and rules.", [
        ("Pictures of graphs", "tg", "viz: show"),
        ("", "tg.viz", "viz: Page"),
    ]),
    "distributed": ("Distributed training", "`tg.distributed`: training that several processes share, with the same bits.", [
        ("Distributed training", "tg.distributed", "distributed"),
    ]),
    "io": ("Checkpoints", "`tg.io`: nested state in a file, and back.", [("Checkpoints", "tg.io", "io")]),
    "onnx": ("ONNX", "`tg.onnx`: models as files of ONNX, written and read.", [("ONNX", "tg.onnx", "onnx")]),
    "compile": ("Compilation, threads and memory", "A function replayed as a flat program; threads; freed memory.", [
        ("Compilation", "tg", "compile: compile CaptureError"),
        ("What `compile` returns", "", "compile: Compiled Program"),
        ("Threads", "tg", "kernels.parallel.threads: get_num_threads set_num_threads"),
        ("Memory", "tg", "allocator: keep_freed_memory"),
    ]),
    "testing": ("Testing", "`tinygrad_cnn.testing`: tools that prove gradients right, imported by that name.", [
        ("Checks", "tinygrad_cnn.testing", "testing"),
        ("Hypothesis strategies", "tinygrad_cnn.testing.strategies", "testing.strategies"),
    ]),
}  # fmt: skip

SECTIONS = {
    "Args": "Arguments",
    "Attributes": "Attributes",
    "Returns": "Returns",
    "Raises": "Raises",
    "Yields": "Yields",
}
TABLE = "| name | |\n| --- | --- |\n"


@dataclass(frozen=True)
class Entry:
    """A documented object: where it stands, and what owns it if it is a member of a class."""

    page: str
    name: str
    thing: Any
    owner: str | None = None

    @property
    def anchor(self) -> str:
        """The place of its heading, as GitHub names it."""
        return re.sub(r"[^\w -]", "", self.name.lower()).replace(" ", "-")


# What there is


def shown(page: str, prefix: str, source: str) -> list[Entry]:
    """What a section shows, without members."""
    path, _, names = source.partition(":")
    module = importlib.import_module(f"tinygrad_cnn.{path}")
    listed = [n for name in names.split() for n in (_derived(module, name[1:]) if name[0] == "<" else [name])]
    return [Entry(page, f"{prefix}.{n}".lstrip("."), getattr(module, n)) for n in listed or module.__all__]


def _derived(module: Any, base: str) -> list[str]:
    """The public names in a module of the classes that have this base."""
    things = {name: getattr(module, name) for name in module.__all__ if name != base}
    return [
        name for name, thing in things.items() if inspect.isclass(thing) and issubclass(thing, getattr(module, base))
    ]


@functools.cache
def by_identity() -> dict[int, Entry]:
    """What all pages show, without members."""
    sections = [(page, *section[1:]) for page, (_, _, sections) in PAGES.items() for section in sections]
    return {id(entry.thing): entry for section in sections for entry in shown(*section)}


def with_members(entry: Entry) -> list[Entry]:
    """An entry and, if it is a class, its public methods and properties and those of bases that no page shows.

    Left out are ops, which are shown as functions, and what a base that is shown has under the same name.
    """
    cls = entry.thing
    if not inspect.isclass(cls):
        return [entry]
    own = [
        c for c in cls.__mro__ if c.__module__.startswith("tinygrad_cnn") and (c is cls or id(c) not in by_identity())
    ]
    known = {key for base in cls.__mro__ if base not in own for key in vars(base)}
    found: dict[str, Any] = {}
    for base in own:
        found |= {key: value for key, value in vars(base).items() if key not in found}
    return [
        entry,
        *(
            Entry(entry.page, f"{cls.__name__}.{key}", value, entry.name)
            for key, value in found.items()
            if not key.startswith("_") and key not in known
            if id(getattr(value, "__func__", value)) not in by_identity()
            if (inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)) and doc(value)
        ),
    ]


def doc(thing: Any) -> str:
    """The docstring of this object itself; a constant has none, but is shown by its value."""
    if isinstance(thing, classmethod | staticmethod):
        thing = thing.__func__
    if callable(thing) or isinstance(thing, property):
        return inspect.cleandoc(thing.__doc__ or "")
    return f"`{thing!r}`"


def documented() -> list[Entry]:
    """Everything that the reference shows."""
    return [each for entry in by_identity().values() for each in with_members(entry)]


# Signatures


def signature(entry: Entry) -> str:
    """How it is called, without annotations, broken into lines where it is long; nothing for what is not called."""
    thing = entry.thing
    if isinstance(thing, classmethod | staticmethod):
        thing = thing.__func__
    if not callable(thing) or (inspect.isclass(thing) and not ("." in entry.name and _has_constructor(thing))):
        return ""
    parts: list[str] = []
    kind = None
    for p in inspect.signature(thing).parameters.values():
        if (p.name == "self" and entry.owner) or p.name == "cls":
            continue
        if kind is p.POSITIONAL_ONLY and p.kind is not p.POSITIONAL_ONLY:
            parts.append("/")
        if p.kind is p.KEYWORD_ONLY and kind not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL):
            parts.append("*")
        star = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        parts.append(f"{star}{p.name}" + ("" if p.default is p.empty else f"={_default(p.default)}"))
        kind = p.kind
    if kind is inspect.Parameter.POSITIONAL_ONLY:
        parts.append("/")
    line = f"{entry.name}({', '.join(parts)})"
    if len(line) <= 100:
        return line
    inside = textwrap.fill(", ".join(parts), 100, initial_indent="    ", subsequent_indent="    ")
    return f"{entry.name}(\n{inside}\n)"


def _has_constructor(cls: type) -> bool:
    if cls.__init__ is object.__init__:  # type: ignore[misc]
        return True
    return any(
        "__init__" in vars(c) or "__new__" in vars(c) for c in cls.__mro__ if c.__module__.startswith("tinygrad_cnn")
    )


def _default(value: Any) -> str:
    if inspect.isclass(value):
        return value.__name__
    text = repr(value)
    return "..." if text.startswith("<") else text


# Docstrings as Markdown


class Page:
    """Writes the text of one page."""

    def __init__(self, name: str, entries: list[Entry]) -> None:
        self.name, self.entries = name, entries
        self.by_name: dict[str, list[Entry]] = {}
        for entry in entries:
            self.by_name.setdefault(entry.name.rpartition(".")[2], []).append(entry)

    def text(self) -> str:
        """The page: a table of what is in it, then each entry."""
        title, about, sections = PAGES[self.name]
        parts = [
            f"# {title}\n\n{about} Written by `docs/make_reference.py` from the docstrings; [all pages](README.md).\n"
        ]
        for heading, prefix, source in sections:
            entries = shown(self.name, prefix, source)
            if heading:
                parts.append(f"## {heading}\n")
            parts.append(TABLE + "".join(f"| {self.link(e)} | {self.summary(e)} |\n" for e in entries))
            parts += [self.entry(each) for entry in entries for each in with_members(entry)]
        return "\n".join(parts)

    def link(self, entry: Entry) -> str:
        """A link to an entry from this page."""
        page = "" if entry.page == self.name else f"{entry.page}.md"
        return f"[`{entry.name}`]({page}#{entry.anchor})"

    def summary(self, entry: Entry) -> str:
        """The first sentence, to stand in a table."""
        first = " ".join(itertools.takewhile(bool, doc(entry.thing).splitlines()))
        sentence = re.split(r"(?<=[.])\s{2,}|(?<=[.])\s(?=[A-Z\"`])", first)[0]
        return self.prose(sentence, entry).replace("|", r"\|")

    def entry(self, entry: Entry) -> str:
        """Heading, signature and docstring."""
        parts = [f"{'####' if entry.owner else '###'} `{entry.name}`\n"]
        if call := signature(entry):
            parts.append(f"```python\n{call}\n```\n")
        if inspect.isclass(entry.thing) and issubclass(entry.thing, Exception):
            parts.append(f"An exception: a `{entry.thing.__bases__[0].__name__}`.\n")
        parts += self.docstring(entry)
        if inspect.isclass(entry.thing) and (shared := self.shared(entry.thing)):
            parts.append(f"Ops as methods, with the Tensor as first argument: {', '.join(shared)}.\n")
        return "\n".join(parts)

    def shared(self, cls: type) -> list[str]:
        """Links to the ops that a class has as methods."""
        found = {key: by_identity().get(id(value)) for base in cls.__mro__ for key, value in vars(base).items()}
        return [self.link(entry) for key, entry in sorted(found.items()) if entry and not key.startswith("_")]

    def docstring(self, entry: Entry) -> Iterator[str]:
        """Paragraphs, lists of arguments and examples, as Markdown blocks."""
        lines = doc(entry.thing).splitlines()
        while lines:
            if not lines[0].strip():
                lines.pop(0)
            elif lines[0].startswith(">>>"):
                yield _fenced(_take(lines, lambda line: bool(line.strip())))
            elif lines[0].rstrip(":") in SECTIONS and lines[0].endswith(":"):
                title = SECTIONS[lines.pop(0).rstrip(":")]
                body = _take(lines, lambda line: not line.strip() or line.startswith("    "))
                yield f"**{title}**\n\n{self.items(body, entry, named=title not in ('Returns', 'Yields'))}"
            else:
                yield self.paragraph(_take(lines, lambda line: bool(line.strip())), entry)

    def paragraph(self, lines: list[str], entry: Entry) -> str:
        """Text, in which an equation begins a line."""
        out: list[str] = []
        for line in lines:
            if out and re.match(r"[\w\[\], ]+'? = ", line):
                out[-1] += "  "
            out.append(self.prose(line, entry))
        return "\n".join(out) + "\n"

    def items(self, lines: list[str], entry: Entry, named: bool) -> str:
        """The entries of a section such as Args, as a list."""
        text = inspect.cleandoc("\n".join(lines)).splitlines()
        if not named:
            return "\n".join(self.prose(line, entry) for line in text) + "\n"
        out = []
        for line in text:
            name, colon, rest = line.partition(": ")
            if colon and re.fullmatch(r"[\w*, ]+", name) and not line.startswith(" "):
                names = ", ".join(f"`{part.strip()}`" for part in name.split(","))
                out.append(f"- {names}: {self.prose(rest, entry)}")
            else:
                out.append(f"  {self.prose(line.strip(), entry)}")
        return "\n".join(out) + "\n"

    def prose(self, text: str, entry: Entry) -> str:
        """Text outside of code with its roles as links, and what Markdown would take for its own escaped."""
        pieces = re.split(r"(:\w+:`[^`]*`|``[^`]+``|`[^`]+`)", text)
        return "".join(self._code(p, entry) if i % 2 else _escaped(p) for i, p in enumerate(pieces))

    def _code(self, piece: str, entry: Entry) -> str:
        if not piece.startswith(":"):
            return f"`{piece.strip('`')}`"
        name = piece.split("`")[1].lstrip("~")
        target = self.target(name, entry)
        return self.link(target) if target else f"`{name.rpartition('.')[2]}`"

    def target(self, name: str, entry: Entry) -> Entry | None:
        """What a name in a docstring means: a member of the same class, a name of the same module, or the only one."""
        last = name.rpartition(".")[2]
        candidates = self.by_name.get(last, [])
        cls = entry.owner or entry.name
        thing = getattr(sys.modules.get(getattr(entry.thing, "__module__", None) or ""), last, None)
        for choice in (
            [e for e in candidates if e.owner == cls],
            [e for e in candidates if thing is not None and e.thing is thing],
            [e for e in candidates if e.page == self.name and not e.owner],
            [e for e in candidates if not e.owner],
            candidates,
        ):
            if choice:
                return choice[0]
        return None


def _take(lines: list[str], wanted: Callable[[str], bool]) -> list[str]:
    taken = list(itertools.takewhile(wanted, lines))
    del lines[: len(taken)]
    return taken


def _fenced(lines: list[str]) -> str:
    return "```pycon\n" + "\n".join(lines) + "\n```\n"


def _escaped(text: str) -> str:
    return re.sub(r"\*(?=\S)|(?<!\w)_(?=\S)|<(?=[\w/!])|(?<=\])\((?=\S)", lambda match: "\\" + match.group(), text)


# The pages


def index(entries: list[Entry]) -> str:
    """The page of pages, and every name in alphabetical order."""
    page = Page("README", entries)
    rows = "".join(f"| [{title}]({name}.md) | {about} |\n" for name, (title, about, _) in PAGES.items())
    named = sorted((e for e in entries if not e.owner), key=lambda e: (e.name.rpartition(".")[2].lower(), e.name))
    letters = itertools.groupby(named, key=lambda e: e.name.rpartition(".")[2][0].lower())
    links = "\n\n".join(" · ".join(page.link(entry) for entry in group) for _, group in letters)
    return (
        "# Reference\n\nEvery public name, with its signature and its docstring. `tg` is `tinygrad_cnn`, as after "
        "`import tinygrad_cnn as tg`. The pages are written by `docs/make_reference.py`; the guides are in "
        f"[the documentation](../README.md).\n\n| page | |\n| --- | --- |\n{rows}\n## All names\n\n{links}\n"
    )


def pages() -> dict[str, str]:
    """The text of every page, by file name."""
    entries = documented()
    return {"README.md": index(entries)} | {f"{name}.md": Page(name, entries).text() for name in PAGES}


def main() -> None:
    """Write the pages, and remove those that are no longer made."""
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for stale in {path.name for path in FOLDER.glob("*.md")} - made.keys():
        (FOLDER / stale).unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"wrote {len(made)} pages to {FOLDER}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
