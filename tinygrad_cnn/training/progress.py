"""The callback that prints progress: in a terminal one line that it rewrites, elsewhere one line for each epoch."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from ..notebooks import Updated, in_notebook
from .callbacks import Callback

if TYPE_CHECKING:
    from .run import Run

INTERVAL = 0.1
"""Seconds between two updates of the line."""


class Progress(Callback):
    """Writes loss, accuracy, images per second and the time left. ``fit(..., progress=True)`` is short for this.

    A terminal gets a line for each epoch that is rewritten during the epoch, with a bar if tqdm is installed. A file or a pipe
    gets one line at the end of each epoch. In a notebook the cell has one output, which is updated like that line, so the saved
    notebook, or nbconvert's, has a line for each epoch.

    Args:
        stream: the stream to write to: standard output by default.
        bar: whether to draw tqdm's bar in a terminal; None draws it if tqdm can be imported.

    Raises:
        ImportError: if `bar` is True and tqdm is not installed.
    """

    on_first_rank_only = True

    def __init__(self, stream: TextIO | None = None, bar: bool | None = None) -> None:
        self._stream = stream
        self._make_bar: Any = None if bar is False else _tqdm(required=bar is True)
        self._bar: Any = None
        self._width = 0  # of the unfinished line
        self._began = self._shown = 0.0
        self._said = False
        self._first = 0

    def on_fit_begin(self, run: Run) -> None:
        """Start the clock."""
        self._out = self._stream or sys.stdout
        self._live = self._out.isatty()
        self._updated = Updated() if self._stream is None and in_notebook() else None
        self._lines = ""  # finished, in a notebook
        self._began = time.perf_counter()
        self._first = run.step

    def on_step_end(self, run: Run) -> None:
        """Say once how steps run; in a terminal, rewrite the line every INTERVAL seconds."""
        if not self._said and run.how:
            self._said = True
            self._say(f"{run.how}\n")
        now = time.perf_counter()
        if (self._live or self._updated) and now - self._shown >= INTERVAL:
            self._shown = now
            self._show(run, _text(run, run.epoch + 1, run.means.result(running=True), self._left(run)))

    def on_epoch_end(self, run: Run) -> None:
        """Finish the line of the epoch."""
        self._show(run, _text(run, run.epoch, run.history.last, self._left(run)), end=True)

    def on_fit_end(self, run: Run) -> None:
        """Finish the line, with the reason if the training was stopped."""
        if self._bar is not None:
            self._bar.close()
        elif self._width:
            self._out.write("\n")
        self._bar, self._width = None, 0
        if run.status == "stopped":
            self._say(f"stopped in epoch {run.epoch + bool(run.batch)}: {run.stopped}\n")
        self._out.flush()

    def _say(self, line: str) -> None:
        if self._updated is None:
            self._out.write(line)
        else:
            self._lines += line
            self._updated.show(self._lines.rstrip())

    def _left(self, run: Run) -> float | None:
        """Seconds to the end at the pace so far, including validation; None if the number of batches is unknown."""
        if run.batches is None or run.step == self._first:
            return None
        remaining = (run.epochs - run.epoch) * run.batches - run.batch
        return (time.perf_counter() - self._began) / (run.step - self._first) * remaining

    def _show(self, run: Run, text: str, end: bool = False) -> None:
        if self._updated is not None:
            self._updated.show(self._lines + text)
            self._lines += f"{text}\n" * end
            return
        columns = max(1, shutil.get_terminal_size().columns - 1)  # a line that wraps could not be rewritten
        if not self._live:
            self._out.write(text + "\n")
        elif self._make_bar is not None:
            self._show_bar(run, text, columns, end)
        else:
            if end:
                columns = max(columns, len(text))
            self._out.write(f"\r{text[:columns]:<{self._width}}" + "\n" * end)
            self._width = 0 if end else min(len(text), columns)
        self._out.flush()

    def _show_bar(self, run: Run, text: str, columns: int, end: bool) -> None:
        if self._bar is None:
            # Containers have terminals of 0 rows, in which tqdm would draw nothing.
            options = {"bar_format": "{desc}  {bar:20}", "ncols": columns, "nrows": 20, "mininterval": 0}
            self._bar = self._make_bar(total=run.batches, file=self._out, **options)
        self._bar.ncols = None if end else columns  # the finished line is not cut
        self._bar.n = run.batches or run.batch if end else run.batch
        self._bar.set_description_str(text, refresh=not end)
        if end:
            self._bar.close()
            self._bar = None


def _tqdm(required: bool) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        if required:
            remedy = "pip install 'tinygrad_cnn[progress]', or leave `bar` out"
            raise ImportError(f"Progress: tqdm is not installed; {remedy}") from None
        return None
    return tqdm


def _text(run: Run, epoch: int, means: Mapping[str, float], left: float | None) -> str:
    shown = [f"{name} {_number(value)}" for name, value in means.items() if name not in ("lr", "seconds")]
    rate = run.means.examples / run.train_seconds if run.train_seconds else math.nan
    parts = [f"epoch {epoch:>{len(str(run.epochs))}}/{run.epochs}", *shown, f"{rate:,.0f} images/s"]
    if left is not None:
        parts.append(f"{clock(left)} left" if left else f"{run.seconds:.1f} s")
    return "  ".join(parts)


def _number(value: float) -> str:
    return f"{value:.4f}" if 0.001 <= abs(value) < 1000 or not value else f"{value:.3e}"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds: 0:05, 12:34, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
