"""The front page, which is the README; generated tables; pages of source files, and links to them; the playground."""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make_tables
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).parents[2]
SHOWN = ("tinygrad_cnn", "examples", "tests/benchmarks")  # folders whose files have pages
PLAYGROUND = ROOT / "docs" / "build_playground.py"
SUFFIXES = {".py": "python", ".md": "markdown", ".js": "javascript"}


def front_page(app: Sphinx, docname: str, content: list[str]) -> None:
    """Put the README before the tables of contents of the first page."""
    if docname == "index":
        text = (ROOT / "README.md").read_text(encoding="utf-8")
        text = re.sub(r"\]\((?!\w+:|#)", "](../", text)
        content[0] = text.replace("](../docs/", "](") + "\n" + content[0]


class Links(SphinxTransform):
    """Leads links out of the folder of the guides to the pages of the files there, or to the playground."""

    default_priority = 1  # before Sphinx looks for the files

    def apply(self, **options: Any) -> None:
        """Look at every link that MyST has not recognized as one to a page of the site."""
        docname = self.env.docname
        up = "../" * docname.count("/")
        kinds = (addnodes.download_reference, addnodes.pending_xref)
        for node in list(self.document.findall(lambda node: isinstance(node, kinds) and node["reftype"] == "myst")):
            suffix = ".md" if node["refdomain"] == "doc" else ""  # which MyST has cut off
            path = Path(self.env.srcdir, posixpath.dirname(docname), node["reftarget"] + suffix).resolve()
            path = path.relative_to(ROOT)
            if path.is_relative_to("docs/playground"):
                address = path.relative_to("docs").as_posix()
            elif any(path.is_relative_to(folder) for folder in SHOWN):
                address = f"source/{path.as_posix()}" + ("/index.html" if (ROOT / path).is_dir() else ".html")
            else:
                continue
            node.replace_self(nodes.reference("", "", *node.children, refuri=up + address))


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for each file of source, and for each folder of them."""
    for top in SHOWN:
        for folder in (ROOT / top, *(path for path in (ROOT / top).rglob("*") if path.is_dir())):
            inside = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES or path.is_dir())
            inside = [path for path in inside if path.name != "__pycache__"]
            if folder.name == "__pycache__" or not inside:
                continue
            name = folder.relative_to(ROOT).as_posix()
            items = "".join(
                f'<li><a href="{path.name}{"/index" if path.is_dir() else ""}.html">{path.name}</a></li>'
                for path in inside
            )
            yield f"source/{name}/index", {"title": name, "body": f"<h1>{name}</h1><ul>{items}</ul>"}, "page.html"
            for path in inside:
                if path.is_file():
                    code = app.builder.highlighter.highlight_block(
                        path.read_text(encoding="utf-8"), SUFFIXES[path.suffix], lineanchors="line"
                    )
                    name = path.relative_to(ROOT).as_posix()
                    yield f"source/{name}", {"title": name, "body": f"<h1>{name}</h1>{code}"}, "page.html"


def write_tables(app: Sphinx) -> None:
    """Write the tables that the guides include."""
    make_tables.write()


def build_playground(app: Sphinx, error: Exception | None) -> None:
    """Put the playground, which is a page of its own, beside the pages of Sphinx, if the repository has it."""
    if error is None and app.builder.format == "html" and PLAYGROUND.is_file():
        subprocess.run([sys.executable, PLAYGROUND, Path(app.outdir) / "playground"], check=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect all of it."""
    app.connect("builder-inited", write_tables)
    app.connect("source-read", front_page)
    app.add_transform(Links)
    app.connect("html-collect-pages", source_pages)
    app.connect("build-finished", build_playground)
    return {"parallel_read_safe": True}
