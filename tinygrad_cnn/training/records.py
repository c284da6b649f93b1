"""Callbacks that record a training: a table of the epochs, and the norms of the gradients."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_path, checked, flag
from .callbacks import Callback

if TYPE_CHECKING:
    from ..nn import Parameter
    from .run import Run


def norm(array: NDArray[Any]) -> float:
    """The Euclidean norm, without a copy if the array is contiguous."""
    flat = array.reshape(-1) if array.flags.c_contiguous else array.ravel(order="K")
    return math.sqrt(float(np.vdot(flat, flat).real))


def gradient_of(parameter: Parameter) -> NDArray[Any] | None:
    """The array of a gradient, or None."""
    gradient = getattr(parameter, "_grad", None)
    return None if gradient is None else gradient._array


class CSVLog(Callback):
    """Writes the history as a CSV file after each epoch: a header, and a line for each epoch.

    The file is replaced atomically and always has all epochs, those before a resume too. Columns that callbacks add with
    ``run.history.note`` are in it if the callbacks stand before this one.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: when training begins, if the folder does not exist.

    >>> import tinygrad_cnn as tg
    >>> log = tg.training.CSVLog("run.csv")
    """

    on_first_rank_only = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        check_path("CSVLog", path)
        self.path = Path(path)

    def on_fit_begin(self, run: Run) -> None:
        """Refuse a folder that does not exist before anything is computed."""
        if not self.path.absolute().parent.is_dir():
            raise FileNotFoundError(f"CSVLog: the folder of `path` {str(self.path)!r} is missing; make it first")

    def on_epoch_end(self, run: Run) -> None:
        """Write the file."""
        run.history.to_csv(self.path)


class GradientNorms(Callback):
    """Notes the Euclidean norm of all gradients together: "grad_norm", the mean over the steps of an epoch, and
    "max_grad_norm", the largest.

    Gradients are those that the optimizer used, so clipping in ``on_gradients`` shows. An epoch that was resumed in its middle
    has the steps since then.

    Args:
        layers: whether to note the mean for each parameter, too, as "grad_norm.<name>".

    Attributes:
        steps: the norms of the steps of the current or last epoch.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> model = tg.nn.Linear(1, 1)
    >>> x, optimizer = np.ones((4, 1), np.float32), tg.optim.SGD(model.parameters(), lr=0.0)
    >>> norms = tg.training.GradientNorms()
    >>> history = tg.fit(model, (x, x), tg.mse, optimizer, epochs=1, callbacks=[norms], progress=False)
    >>> history["grad_norm"] == norms.steps == history["max_grad_norm"]
    True
    """

    def __init__(self, layers: bool = False) -> None:
        checked("GradientNorms", {"layers": flag}, locals())
        self.layers = layers
        self.steps: list[float] = []
        self._sums: dict[str, float] = {}

    def on_fit_begin(self, run: Run) -> None:
        """Reset the norms."""
        self.steps, self._sums = [], {}

    def on_epoch_begin(self, run: Run) -> None:
        """Reset the norms."""
        self.on_fit_begin(run)

    def on_step_end(self, run: Run) -> None:
        """Measure the gradients of the step."""
        found = {
            name: norm(gradient)
            for name, parameter in run.model.named_parameters()
            if (gradient := gradient_of(parameter)) is not None
        }
        self.steps.append(math.hypot(*found.values()))
        if self.layers:
            for name, value in found.items():
                self._sums[name] = self._sums.get(name, 0.0) + value

    def on_epoch_end(self, run: Run) -> None:
        """Note the norms in the history."""
        if not self.steps:  # resumed after the last step
            return
        n = len(self.steps)
        run.history.note(grad_norm=math.fsum(self.steps) / n, max_grad_norm=max(self.steps))
        run.history.note(**{f"grad_norm.{name}": value / n for name, value in self._sums.items()})
