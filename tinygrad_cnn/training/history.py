"""The measures of a training, epoch by epoch."""

import math
from collections.abc import Mapping


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
