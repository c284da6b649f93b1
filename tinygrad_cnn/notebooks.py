"""What a cell of a Jupyter notebook shows: a picture once, and a text or a page that is updated in place.

Only what is shown in a notebook needs IPython, which runs there.
"""

from __future__ import annotations

import io
import sys
from functools import cache
from importlib import import_module
from typing import Any


def in_notebook() -> bool:
    """Whether a kernel of Jupyter runs the program, so that displays go to a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def _ipython_display() -> Any:
    return import_module("IPython.display")


class Updated:
    """An output of a cell that is replaced. nbconvert, and whoever opens the notebook later, gets the last one."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, text: str, html: str = "") -> None:
        """Show this text, or this HTML where it can be shown, in place of what was there before."""
        bundle = {"text/plain": text, "text/html": html} if html else {"text/plain": text}
        if self._handle is None:
            self._handle = _ipython_display().display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def subplots(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """``matplotlib.pyplot.subplots``, whose figure a notebook shows once.

    A notebook shows the value of a cell, and then each figure that pyplot has open: this one leaves pyplot when it is shown.

    Raises:
        ImportError: that names the function, if matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError(f"{name}: matplotlib is not installed; pip install 'tinygrad_cnn[plot]'") from None
    if in_notebook():
        options["FigureClass"] = _shown_once()
    figure, axes = pyplot.subplots(*args, **options)
    return figure, axes


@cache
def _shown_once() -> Any:
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    class Shown(Figure):
        def _ipython_display_(self) -> None:
            picture = io.BytesIO()
            self.savefig(picture, format="png")
            pyplot.close(self)
            shown = _ipython_display()
            says = ", ".join(f"{axes.get_ylabel()} by {axes.get_xlabel()}" for axes in self.axes)
            shown.display(shown.Image(picture.getvalue(), alt=says))

    return Shown
