"""The reference: a directive that shows the names that a page lists, by autodoc, and docstrings as reStructuredText."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from numpy.typing import ArrayLike, DTypeLike
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import stringify_annotation

from . import names
from .names import Entry

ROOT = Path(__file__).parents[2]
SECTIONS = {
    "Args": "Arguments",
    "Attributes": "Attributes",
    "Returns": "Returns",
    "Raises": "Raises",
    "Yields": "Yields",
}
SHORT = {
    stringify_annotation(DTypeLike, "smart"): "~numpy.typing.DTypeLike",
    stringify_annotation(ArrayLike, "smart"): "~numpy.typing.ArrayLike",
    "~numpy.ndarray[tuple[~typing.Any, ...], ~numpy.dtype[~typing.Any]]": "~numpy.ndarray",
    "~numpy.dtype[~typing.Any]": "~numpy.dtype",
}
ALIASES = {"Array", "TensorLike", "Axis", "Shape", "SizeLike", "OutputSize", "DTypeLike", "ArrayLike"}
CODE = re.compile(r"(:\w+:`[^`]*`|``[^`]+``|`[^`]+`)")
EQUATION = re.compile(r"\w[\w\[\], ]*'? = ")


class Names(SphinxDirective):
    """A table of the names that a block of imports lists, and the documentation of each at its first place."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """The nodes of both."""
        entries = names.listed("\n".join(self.content) + "\n")
        text = ["``````{eval-rst}", *table(entries)]
        for entry in entries:
            if names.by_identity()[names.identity(entry.thing)] is entry:
                text += described(entry)
        node = nodes.container()
        self.state.nested_parse(StringList([*text, "``````"], self.get_source_info()[0]), self.content_offset, node)
        return node.children


def table(entries: list[Entry]) -> Iterator[str]:
    """Each name with the first sentence about it."""
    yield from (".. list-table::", "   :class: names", "")
    for entry in entries:
        first = " ".join(itertools.takewhile(bool, names.doc(entry.thing).splitlines())) or f"``{entry.thing!r}``"
        sentence = re.split(r"(?<=[.])\s{2,}|(?<=[.])\s(?=[A-Z\"`])", first)[0]
        yield f"   * - {link(names.by_identity()[names.identity(entry.thing)])}"
        yield f"     - {prose(sentence, entry)}"
    yield ""


def described(entry: Entry) -> Iterator[str]:
    """The autodoc directives of an entry and its members."""
    thing = entry.thing
    is_exception = inspect.isclass(thing) and issubclass(thing, Exception)
    kind = (
        "exception"
        if is_exception
        else "class"
        if inspect.isclass(thing)
        else "function"
        if callable(thing)
        else "data"
    )
    yield from (f".. auto{kind}:: {entry.path}", "")
    for member in names.members(entry):
        kind = "property" if isinstance(member.thing, property) else "method"
        yield from (f"   .. auto{kind}:: {member.path}", "")


def link(entry: Entry) -> str:
    """A reference to an entry, as reStructuredText."""
    return f":py:obj:`{entry.shown} <{entry.path}>`"


# Docstrings


def process_docstring(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Make reStructuredText of a docstring, whose prose and formulas are plain text."""
    if entry := names.documented().get(name):
        lines[:] = restructured(lines, entry) if names.doc(entry.thing) else []
        if inspect.isclass(entry.thing) and (shared := methods(entry.thing)):
            lines += ["Ops as methods, with the Tensor as first argument: " + ", ".join(map(link, shared)) + ".", ""]


def methods(cls: type) -> list[Entry]:
    """The ops that a class has as methods."""
    found = {
        key: names.by_identity().get(names.identity(value)) for base in cls.__mro__ for key, value in vars(base).items()
    }
    return [entry for key, entry in sorted(found.items()) if entry and not key.startswith("_")]


def restructured(lines: list[str], entry: Entry) -> list[str]:
    """Paragraphs, examples and sections such as Args."""
    waiting, out = list(lines), list[str]()
    while waiting:
        if not waiting[0].strip():
            waiting.pop(0)
        elif waiting[0].startswith(">>>"):
            out += [*_take(waiting, lambda line: bool(line.strip())), ""]
        elif waiting[0].endswith(":") and waiting[0][:-1] in SECTIONS:
            title = SECTIONS[waiting.pop(0)[:-1]]
            body = _take(waiting, lambda line: not line.strip() or line.startswith("    "))
            out += [f":{title}:", *("    " + line for line in items(body, entry, title)), ""]
        else:
            out += [*paragraph(_take(waiting, lambda line: bool(line.strip())), entry), ""]
    return out


def paragraph(lines: list[str], entry: Entry) -> list[str]:
    """Text. Formulas begin a line: that of the value, and after it those of the gradients."""
    if len(lines) > 1 and all(EQUATION.match(line) for line in lines) and "  " in "".join(lines):
        return [".. code-block:: text", "", *("   " + line for line in lines)]  # aligned by hand
    lines = [part for line in lines for part in re.split(r" {3}(?=\w[\w\[\], ]*' = )", line)]
    if not any(EQUATION.match(line) for line in lines[1:]):
        return prose("\n".join(lines), entry).splitlines()
    return [("| " if not i or EQUATION.match(line) else "  ") + prose(line, entry) for i, line in enumerate(lines)]


def items(lines: list[str], entry: Entry, title: str) -> list[str]:
    """The body of a section, as a list where it has names."""
    text = inspect.cleandoc("\n".join(lines)).splitlines()
    if title in ("Returns", "Yields"):
        return prose("\n".join(text), entry).splitlines()
    out: list[str] = []
    for line in text:
        name, colon, rest = line.partition(": ")
        if colon and re.fullmatch(r"[\w*, ]+", name) and not line.startswith(" "):
            out.append("* " + ", ".join(f"``{part.strip()}``" for part in name.split(",")) + ": " + rest)
        else:
            out.append("  " + line.strip())
    return prose("\n".join(out), entry, skip=r"^\* ").splitlines()


def prose(text: str, entry: Entry, skip: str = r"(?!)") -> str:
    """Text with its roles resolved, and what reStructuredText would take for markup escaped."""
    pieces = CODE.split(text)
    pieces[::2] = [_escaped(piece, skip) for piece in pieces[::2]]
    pieces[1::2] = [_code(piece, entry) for piece in pieces[1::2]]
    return re.sub(r"(?<=\w)\0(?=[`:])|(?<=`)\0(?=\w)", r"\\ ", "\0".join(pieces)).replace(
        "\0", ""
    )  # markup ends at spaces


def _escaped(text: str, skip: str) -> str:
    text = re.sub(rf"({skip})|[\\*|]|_(?!\w)", lambda m: m[0] if m[1] else "\\" + m[0], text, flags=re.MULTILINE)
    return re.sub(r"(?<=\S) {2,}(?=\S)", "\N{EM SPACE}", text)


def _code(piece: str, entry: Entry) -> str:
    if not piece.startswith(":"):
        return f"``{piece.strip('`')}``"
    name = piece.split("`")[1].lstrip("~")
    target = names.meant(name, entry)
    return link(target) if target else f"``{name}``"


def _take(lines: list[str], wanted: Callable[[str], bool]) -> list[str]:
    taken = list(itertools.takewhile(wanted, lines))
    del lines[: len(taken)]
    return taken


def process_signature(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Names of NumPy's types, no checks of arguments, and no defaults that have no readable form."""
    signature = re.sub(r"=\s?<[^>]*>", "=...", readable(signature)) if signature else signature
    returned = readable(returned) if returned else returned
    for name, written in getattr(inspect.unwrap(thing) if callable(thing) else thing, "__annotations__", {}).items():
        spelled = re.sub(r"\b(Array|Tensor)\b", "~typing.Any", str(written))  # which they are at run time, in the core
        if name == "return":
            returned = written if returned == spelled else returned
        elif signature and spelled != written:
            signature = signature.replace(f"{name}: {spelled}", f"{name}: {written}")
    return signature, returned


def readable(signature: str) -> str:
    """A signature without `Annotated`, and without what NumPy's types are made of."""
    for spelled, name in SHORT.items():
        signature = signature.replace(spelled, name)
    while found := re.search(r"[~\w.]*\bAnnotated\[", signature):
        depth, commas, end = 0, list[int](), found.end()
        while depth or signature[end] != "]":
            if signature[end] == "," and not depth:
                commas.append(end)
            depth += (signature[end] in "[(") - (signature[end] in "])")
            end += 1
        signature = signature[: found.start()] + signature[found.end() : commas[0]] + signature[end + 1 :]
    return re.sub(r"~(?=[A-Z]\b)", "", signature)  # type variables


# Names


def shorten(app: Sphinx, domain: str, objtype: str, content: nodes.Element) -> None:
    """Show names as users write them."""
    for signature in content.parent.findall(addnodes.desc_signature):
        entry = names.documented().get(f"{signature.get('module')}.{signature.get('fullname')}")
        for prefix in signature.findall(addnodes.desc_addname):
            if entry and not entry.owner:
                prefix[:] = [nodes.Text(entry.shown.rpartition(".")[0] + "." if "." in entry.shown else "")]


def source_of(entry: Entry) -> tuple[Path, int] | None:
    """The file that defines an object, relative to the repository, and the line."""
    thing = getattr(entry.thing, "fget", None) or getattr(entry.thing, "__func__", entry.thing)
    if not callable(thing):
        return None
    thing = inspect.unwrap(thing)
    try:
        path, line = inspect.getsourcefile(thing), inspect.getsourcelines(thing)[1]
    except (OSError, TypeError):
        return None
    return Path(path or "").resolve().relative_to(ROOT), line


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """The address of the source, from a page of the reference."""
    entry = names.documented().get(f"{info['module']}.{info['fullname']}")
    found = source_of(entry) if entry else None
    return f"../source/{found[0].as_posix()}.html#line-{found[1]}" if found else None


def refer(app: Sphinx, entry: Entry, docname: str, content: nodes.Node) -> nodes.reference | None:
    """A link from a page to an entry."""
    place = app.env.domains.python_domain.objects.get(entry.path)
    return place and make_refnode(app.builder, docname, place.docname, place.node_id, [content], entry.shown)


def resolve(app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Node) -> nodes.Node | None:
    """What a name in an annotation refers to."""
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"]
    if name.rpartition(".")[2] in ALIASES:
        return make_refnode(app.builder, node["refdoc"], "api/README", "types-in-signatures", [content])
    entry = names.meant(name) or names.class_named(name.rpartition(".")[2])
    return refer(app, entry, node["refdoc"], content) if entry else None


class LinkedNames(SphinxPostTransform):
    """Makes links of names such as ``tg.conv2d`` in the text."""

    default_priority = 700

    def run(self, **options: Any) -> None:
        """Look at every literal that is not part of a link or a heading."""
        for node in list(self.document.findall(nodes.literal)):
            match = re.fullmatch(r"((?:tg|nn|tinygrad_cnn)\.[\w.]+)(?:\(.*\))?", node.astext(), re.DOTALL)
            entry = match and names.meant(match[1])
            if entry is None or _is_within(node, nodes.reference, nodes.title, addnodes.pending_xref):
                continue
            if reference := refer(self.app, entry, self.env.docname, node.deepcopy()):
                node.replace_self(reference)


def _is_within(node: nodes.Node, *kinds: type[nodes.Node]) -> bool:
    """Whether a node is part of one of these kinds; a link to a page has an element between itself and its text."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive, and what autodoc asks."""
    app.add_directive("names", Names)
    app.connect("autodoc-process-docstring", process_docstring)
    app.connect("autodoc-process-signature", process_signature)
    app.connect("object-description-transform", shorten)
    app.connect("missing-reference", resolve)
    app.add_post_transform(LinkedNames)
    return {"parallel_read_safe": True}
