"""What the schedules of one optimizer share. As in PyTorch, several may write the same rates, and those of curves multiply.

A curve is a function of the number of steps, and knows its own factor. In lr it finds what the others and the user have made
of the rate that it wrote last, and keeps that ratio. A factor of 0 would end this, as 0 shows no ratio. So while factors are
0, the chain keeps the rate without them, and multiplies that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from ...checks import Options, finite, whole
from ..hyperparameters import pair

if TYPE_CHECKING:
    from ..optimizer import Optimizer
    from .curves import Curve

Hidden: TypeAlias = tuple[float, int]
"""The rate of a group without the factors that are 0, and how many these are."""

_hidden = pair("None, or a learning rate and how many factors of it are 0", finite, whole(1))


def hidden_or_none(value: Any) -> Any:
    """The check of a group's entry in a saved state."""
    return None if value is None else _hidden(value)


class Chain:
    """The rates of an optimizer's groups, as its schedules multiply and overwrite them."""

    def __init__(self) -> None:
        self._hidden: dict[int, Hidden] = {}  # by group, while its lr is 0

    def overwrite(self, i: int, group: Options, lr: float) -> None:
        """Write the rate of group i, whatever the factors of curves are."""
        self._hidden.pop(i, None)
        group["lr"] = lr

    def scale(self, i: int, group: Options, factor: float) -> None:
        """Multiply the rate of group i, also while it is hidden."""
        rate, zeros = self._read(i, group)
        self._write(i, group, rate * factor, zeros)

    def move(self, curve: Curve, before: float, now: float) -> None:
        """Write the rate of each group where the factor of a curve goes from `before` to `now`.

        What is found in place of the rate that the curve wrote last changes the curve's scale. Where the factor stays, so
        does lr.
        """
        floor = curve.floor

        def without_zero(factor: float) -> float:
            """The curve's rate; a factor that would make it 0 counts as 1."""
            return floor + (curve.base_lrs[i] - floor) * curve.scales[i] * (factor if factor or floor else 1.0)

        for i, group in enumerate(curve._groups()):
            rate, zeros = self._read(i, group)
            written = curve._last_lr[i]
            if not written and (zeros or before):  # it is hidden, or was by another factor
                written = without_zero(before)
            if rate != written and written:
                curve.scales[i] *= rate / written if written == floor else (rate - floor) / (written - floor)
            if now != before:
                rate = without_zero(now)
                zeros = max(0, zeros - (before == floor == 0)) + (now == floor == 0)
            self._write(i, group, rate, zeros)
            curve._last_lr[i] = float(group["lr"])

    def hidden(self, groups: Sequence[Options]) -> list[Hidden | None]:
        """What is kept of each group, for a saved state; None for most."""
        return [self._hidden.get(i) if group["lr"] == 0 else None for i, group in enumerate(groups)]

    def hide(self, kept: Sequence[Hidden | None]) -> None:
        """Take what :meth:`hidden` gave, when lr of each group is what it was then."""
        self._hidden = {i: pair for i, pair in enumerate(kept) if pair is not None}

    def _read(self, i: int, group: Options) -> Hidden:
        """The rate of group i without the factors that are 0, and their number: 0 if lr was changed elsewhere."""
        lr = float(group["lr"])
        return (lr, 0) if lr else self._hidden.get(i, (lr, 0))

    def _write(self, i: int, group: Options, rate: float, zeros: int) -> None:
        self._hidden.pop(i, None)
        if zeros:
            self._hidden[i] = rate, zeros
        if group["lr"] != (lr := 0.0 if zeros else rate):
            group["lr"] = lr


_chains: WeakKeyDictionary[Optimizer, Chain] = WeakKeyDictionary()


def chain_of(optimizer: Optimizer) -> Chain:
    """The chain of an optimizer's schedules."""
    return _chains.setdefault(optimizer, Chain())


def join(optimizer: Optimizer, chain: Chain) -> None:
    """Make a chain that of an optimizer: both are copies, and further schedules are to find the chain."""
    _chains[optimizer] = chain
