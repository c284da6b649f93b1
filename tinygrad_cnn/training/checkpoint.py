"""The callback that saves a training while it runs, so that it can be resumed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checks import Loadable, check_path, read
from ..io import save
from .callbacks import Best, Callback

if TYPE_CHECKING:
    from .run import Run


class Checkpoint(Loadable, Callback):
    """Saves everything that a resumed run needs: every few epochs, at the end, and when the training is interrupted.

    The file is replaced atomically. ``fit(..., resume=path)`` resumes from the file with the same bits, and
    ``model.load_state_dict(tg.load(path)["model"])`` loads only the weights. Of several
    processes that share a training, rank 0 writes the file.

    Args:
        path: the file, .npz or .safetensors.
        every: save after every so many epochs.
        best: a measure of the history, such as "val_loss". The state of its best epoch is kept in a second file,
            ``best_path``: "run.best.npz" beside "run.npz".
        mode: "min", "max", or None to take it from the name: "max" for accuracies.

    Attributes:
        path: the file.
        best_path: the file of the best epoch.

    Raises:
        ValueError: if an argument is out of range.
        FileNotFoundError: when training begins, if the folder does not exist.

    >>> import tinygrad_cnn as tg
    >>> tg.training.Checkpoint("run.npz", best="val_loss").best_path.name
    'run.best.npz'
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int = 1, best: str | None = None, mode: str | None = None
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"Checkpoint: `every` is {every!r}; it must be a whole number of at least 1")
        check_path("Checkpoint", path)
        self.path = Path(path)
        if self.path.suffix.lower() not in (".npz", ".safetensors"):
            raise ValueError(f"Checkpoint: `path` is {str(path)!r}; it must end in .npz or .safetensors")
        self.every = every
        self.best = Best(best, mode=mode) if best is not None else None
        self._saved: int | None = None  # the step whose state is in the file

    @property
    def best_path(self) -> Path:
        """The file with the state of the best epoch."""
        return self.path.with_name(f"{self.path.stem}.best{self.path.suffix}")

    def save(self, run: Run) -> None:
        """Save the state of a run now."""
        self._write(self.path, run)
        self._saved = run.step

    def _write(self, path: Path, run: Run) -> None:
        if run.rank == 0:
            save(path, run.snapshot())

    def on_fit_begin(self, run: Run) -> None:
        """Refuse a folder that does not exist before anything is computed."""
        if run.rank == 0 and not self.path.absolute().parent.is_dir():
            raise FileNotFoundError(f"Checkpoint: the folder of `path` {str(self.path)!r} is missing; make it first")
        if self.best is not None:
            self.best.begin(run)

    def on_epoch_end(self, run: Run) -> None:
        """Save every few epochs, and whenever the epoch is the best so far."""
        self._saved = None
        if self.best is not None and self.best.update(run):
            self._write(self.best_path, run)
        if run.epoch % self.every == 0:
            self.save(run)

    def on_fit_end(self, run: Run) -> None:
        """Save the last step, unless an exception left it half done or its loss was not finite."""
        lost = run.status == "stopped" and run.batch > 0 and not math.isfinite(run.means.last)
        if run.status != "failed" and not lost and self._saved != run.step:
            self.save(run)

    def state_dict(self) -> dict[str, Any]:
        """A copy of the best value."""
        return {} if self.best is None else {"best": self.best.state_dict()}

    def _prepare_load(self, state_dict: Any) -> Callable[[], None]:
        best = Best("") if self.best is None else self.best
        load: Callable[[], None] = read("Checkpoint", state_dict, {"best": best._prepare_load})["best"]
        return load
