"""The measures of a training, epoch by epoch."""

from __future__ import annotations

import csv
import html
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..checks import check_path
from ..io.atomic import replacing
from ..notebooks import subplots

UNDRAWN = ("lr", "seconds")

SHOWN = 20
"""The rows of a history in a notebook."""


class History(dict[str, list[float]]):
    """A dict of lists, one entry for each epoch: "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds", ...

    An epoch without a measure has NaN for it. A history can be pickled, and saved by :func:`tinygrad_cnn.save`.

    >>> history = History()
    >>> history.add({"loss": 0.5})
    >>> history.add({"loss": 0.25, "accuracy": 0.9})
    >>> history
    {'loss': [0.5, 0.25], 'accuracy': [nan, 0.9]}
    >>> history.last["accuracy"]
    0.9
    """

    def __missing__(self, name: object) -> list[float]:
        raise KeyError(f"the history has no {name!r}; it has {', '.join(self) or 'nothing yet'}, each a list by epoch")

    @property
    def epochs(self) -> int:
        """How many epochs there are."""
        return max(map(len, self.values()), default=0)

    @property
    def last(self) -> dict[str, float]:
        """The measures of the last epoch.

        Raises:
            IndexError: if there is none.
        """
        if not self.epochs:
            raise IndexError("History.last: there is no epoch yet")
        return {name: values[-1] for name, values in self.items()}

    def add(self, record: Mapping[str, float]) -> None:
        """Begin the entry of a new epoch with this record."""
        epochs = self.epochs
        for values in self.values():
            values.append(math.nan)
        for name, value in record.items():
            self.setdefault(name, [math.nan] * (epochs + 1))[-1] = float(value)

    def note(self, **record: float) -> None:
        """Add measures, such as a callback's, to the last epoch.

        Raises:
            IndexError: if there is no epoch yet.
        """
        epochs = self.epochs
        if not epochs:
            raise IndexError("History.note: there is no epoch yet; call it when one has ended")
        for name, value in record.items():
            self.setdefault(name, [math.nan] * epochs)[-1] = float(value)

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """The measures as CSV text: a header, and a line for each epoch, numbered from 1.

        Args:
            path: a file to write the text to, which is replaced atomically.

        Raises:
            OSError: if the file cannot be written.

        >>> print(History({"loss": [0.5, 0.25]}).to_csv())
        epoch,loss
        1,0.5
        2,0.25
        <BLANKLINE>
        """
        if path is not None:
            check_path("History.to_csv", path)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["epoch", *self])
        for epoch, row in enumerate(zip(*self.values(), strict=True), start=1):
            writer.writerow([epoch, *map(repr, row)])
        if path is not None:
            with replacing(Path(path)) as file:
                file.write(text.getvalue().encode())
        return text.getvalue()

    def _repr_html_(self) -> str:
        """A table for a notebook: a row for each epoch, of many the first and the last ones."""
        columns = [map(str, range(1, self.epochs + 1)), *map(_aligned, self.values())]
        cells = [*zip(*columns, strict=True)]
        if len(cells) > SHOWN:
            cells[3 : len(cells) - SHOWN + 3] = [("...",) * (len(self) + 1)]
        head = "".join(f"<th>{html.escape(str(name))}</th>" for name in ("epoch", *self))
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in cells)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def plot(self, names: str | Sequence[str] | None = None) -> Any:
        """Draw the measures by epoch with matplotlib, each together with its validation.

        Args:
            names: the measures to draw, or one, without "val_"; None for all but "lr" and "seconds".

        Returns:
            The figure of matplotlib, for ``savefig``; ``matplotlib.pyplot.show()`` shows it.

        Raises:
            ImportError: if matplotlib is missing.
            ValueError: if there is no such measure, or no epoch yet.
        """
        if names is None:
            names = list(dict.fromkeys(name.removeprefix("val_") for name in self if name not in UNDRAWN))
        names = [names] if isinstance(names, str) else names
        if missing := [name for name in names if name not in self and f"val_{name}" not in self]:
            raise ValueError(f"History.plot: there is no {', '.join(missing)}; the history has {', '.join(self)}")
        if not names:
            raise ValueError("History.plot: there is nothing to draw: no measure was named, or there is no epoch yet")
        figure = figure_for("History.plot", len(names))
        marker = "." if self.epochs < 30 else ""
        for axes, name in zip(figure.axes, names, strict=True):
            for column, label in ((name, "training"), (f"val_{name}", "validation")):
                if column in self:
                    axes.plot(range(1, self.epochs + 1), self[column], label=label, marker=marker)
            axes.set(xlabel="epoch", ylabel=name)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend()
        return figure


def _aligned(values: Sequence[float]) -> list[str]:
    """The texts of a column: as many decimals for each as one needs, unless the numbers differ too much in size for that."""
    texts = [f"{value:.4g}" for value in values]
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    if not all(abs(value) < 10 ** (7 - decimals) for value in values) or any("e" in text for text in texts):
        return texts
    return [f"{value:.{decimals}f}" for value in values]


def figure_for(name: str, panels: int) -> Any:
    """A figure of matplotlib with panels side by side."""
    figure, _ = subplots(name, 1, panels, figsize=(4.5 * panels, 3.6), layout="constrained", squeeze=False)
    return figure
