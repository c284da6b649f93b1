"""Training loops: `fit`, its callbacks and checkpoints, and the parts that it is made of."""

from importlib import import_module
from typing import TYPE_CHECKING

from ..core.remedies import hint, publish
from ..metrics import correct
from .averaging import AverageWeights
from .callbacks import Callback, EachEpoch, EachStep, EarlyStopping
from .checkpoint import Checkpoint
from .finder import LRFinder
from .fit import fit
from .history import History
from .interrupt import Interrupt
from .measure import Means, eval_step, evaluate, predict, train_step
from .progress import Progress
from .records import CSVLog, GradientNorms
from .run import Run
from .state import restore, snapshot

__all__ = [
    "AverageWeights", "CSVLog", "Callback", "Checkpoint", "EachEpoch", "EachStep", "EarlyStopping", "GradientNorms", "History",
    "Interrupt", "LRFinder", "Live", "Means", "Progress", "Run", "TensorBoard", "correct", "eval_step", "evaluate", "fit",
    "predict", "restore", "snapshot", "train_step",
]  # fmt: skip

if TYPE_CHECKING:
    from ..extra.live import Live
    from ..extra.tensorboard import TensorBoard
else:  # a checker would take every name for an attribute

    def __getattr__(name):
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint(__name__, name)}")
        globals()[name] = value = getattr(import_module(_LATER[name], __name__), name)
        return value


_LATER = {"Live": "..extra.live", "TensorBoard": "..extra.tensorboard"}
"""Names that are imported when they are first used."""


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
