"""How Sphinx builds the site: `sphinx-build -W docs docs/_build`. It needs the group `docs`."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from extensions.pages import PLAYGROUND  # noqa: E402
from extensions.reference import linkcode_resolve  # noqa: E402, F401

import tinygrad_cnn  # noqa: E402

project = "tinygrad_cnn"
version = release = tinygrad_cnn.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.linkcode",
    "extensions.reference",
    "extensions.pages",
]
exclude_patterns = ["_build", "_generated", "playground"]
pygments_dark_style = "github-dark"
smartquotes = False  # formulas have primes

myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
maximum_signature_line_length = 100
python_display_short_literal_types = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"tinygrad_cnn {version}"
html_context = {"playground": PLAYGROUND.is_file()}
html_sidebars = {
    "**": [
        f"sidebar/{part}.html" for part in ("brand", "search", "scroll-start", "navigation", "playground", "scroll-end")
    ]
}
templates_path = ["templates"]
html_static_path = ["static"]
html_favicon = "static/icon.svg"
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
