"""The callback that averages the weights, and measures and keeps the averages."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checks import check_path, checked, flag
from ..io import save
from ..optim import EMA
from ..optim.hyperparameters import share
from .callbacks import Callback

if TYPE_CHECKING:
    from .run import Run


class AverageWeights(Callback):
    """Averages the weights over the steps by an :class:`~tinygrad_cnn.optim.EMA`, and validates and keeps the averages.

    The validation after each epoch is of the averages; the training goes on with its own weights. At the end the model has the
    averages, unless the training was interrupted or failed. A :class:`Checkpoint` keeps both, and a resumed training has the
    same bits. Give :class:`EarlyStopping` ``restore_best=False``, since it keeps the weights of the training.

    Args:
        decay, warmup, use_buffers: see :class:`~tinygrad_cnn.optim.EMA`; here the first weights soon count little by default.
        path: a file in which the model's state with the averages is kept after each epoch, for ``model.load_state_dict``.

    Attributes:
        ema: the average; None before the training.

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    >>> model = tg.nn.Linear(1, 1)
    >>> optimizer = tg.optim.SGD(model.parameters(), lr=0.5)
    >>> average = tg.training.AverageWeights(decay=0.9)
    >>> _ = tg.fit(model, (x, 3 * x), tg.mse, optimizer, epochs=25, callbacks=[average], progress=False)
    >>> round(model.weight.item(), 3)
    3.0
    """

    def __init__(
        self, decay: float = 0.999, *, warmup: bool = True, use_buffers: bool = True,
        path: str | os.PathLike[str] | None = None,
    ) -> None:  # fmt: skip
        if path is not None:
            check_path("AverageWeights", path)
        checked("AverageWeights", {"decay": share, "warmup": flag, "use_buffers": flag}, locals())
        self.options: dict[str, Any] = {"decay": decay, "warmup": warmup, "use_buffers": use_buffers}
        self.path = None if path is None else Path(path)
        self.ema: EMA | None = None
        self._saved: Mapping[str, Any] = {}

    def on_fit_begin(self, run: Run) -> None:
        """Begin with the weights that there are, or with the averages of the run that is resumed."""
        self.ema = EMA(run.model, **self.options)
        if self._saved:
            self.ema.load_state_dict(self._saved)
            self._saved = {}

    def on_step_end(self, run: Run) -> None:
        """Update the averages."""
        if self.ema is not None:
            self.ema.update()

    def on_validation_begin(self, run: Run) -> None:
        """Give the model the averages."""
        if self.ema is not None:
            self.ema.swap()

    on_validation_end = on_validation_begin
    """Give the model its own weights."""

    def on_epoch_end(self, run: Run) -> None:
        """Keep the averages in the file."""
        if self.path is not None and self.ema is not None and run.rank == 0:
            with self.ema:
                save(self.path, run.model.state_dict())

    def on_fit_end(self, run: Run) -> None:
        """Leave the averages in the model."""
        if self.ema is not None and run.status in ("finished", "stopped"):
            self.ema.swap()

    def state_dict(self) -> dict[str, Any]:
        """A copy of the averages."""
        return {} if self.ema is None else self.ema.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue with a copy of these averages when the training begins."""
        self._saved = dict(state_dict)
