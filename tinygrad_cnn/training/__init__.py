"""Training loops: `fit`, its callbacks and checkpoints, and the parts that it is made of."""

from ..metrics import correct
from .callbacks import Callback, EachEpoch, EachStep, EarlyStopping
from .checkpoint import Checkpoint
from .fit import fit
from .history import History
from .interrupt import Interrupt
from .live import Live
from .measure import Means, eval_step, evaluate, predict, train_step
from .progress import Progress
from .run import Run
from .state import restore, snapshot

__all__ = [
    "Callback", "Checkpoint", "EachEpoch", "EachStep", "EarlyStopping", "History", "Interrupt", "Live", "Means", "Progress",
    "Run", "correct", "eval_step", "evaluate", "fit", "predict", "restore", "snapshot", "train_step",
]  # fmt: skip
