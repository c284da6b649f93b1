"""Schedules of the learning rate and the momentum."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeAlias

from ...checks import Options, non_negative
from ..hyperparameters import fraction
from .base import Checks, PerGroup, Timed

Rates: TypeAlias = Annotated[float | Sequence[float], PerGroup(non_negative)]
Momentums: TypeAlias = Annotated[float | Sequence[float], PerGroup(fraction)]


class Cycle(Timed):
    """The base of schedules that write the rate, and the momentum if their option `cycle_momentum` is True."""

    counts_batches: ClassVar[bool] = True

    @abstractmethod
    def at(self, n: int, i: int) -> tuple[float, float]:
        """The rate and the momentum of group i after n steps."""

    def begin(self) -> None:
        if conflict := self._conflict(self.cycle_momentum):
            raise ValueError(f"{self._name}: {conflict}")
        self._set(0)

    def step(self) -> None:
        """Write the next learning rates and momentums: once a batch, after the optimizer's step."""
        self._set(self.last_epoch + 1)

    def _conflict(self, cycle_momentum: bool) -> str | None:
        if cycle_momentum and not self.optimizer.options.keys() & {"betas", "momentum"}:
            name = type(self.optimizer).__name__
            return f"`cycle_momentum` is True but {name} has neither momentum nor betas; set cycle_momentum=False"
        return None

    def _set(self, n: int) -> None:
        groups = self._groups()
        values = [self.at(n, i) for i in range(len(groups))]
        for i, (group, (rate, momentum)) in enumerate(zip(groups, values, strict=True)):
            self._chain.overwrite(i, group, rate)
            if self.cycle_momentum:
                self._write_momentum(group, momentum)
        self._last_lr, self.last_epoch = self._rates(), n

    def _write_momentum(self, group: Options, value: float) -> None:
        if "betas" in group:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value

    def _momentums(self) -> list[float]:
        groups = self.optimizer.param_groups
        return [float(group["betas"][0] if "betas" in group else group["momentum"]) for group in groups]

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | ({"momentum": self._momentums()} if self.cycle_momentum else {})

    def _more(self, given: Mapping[str, Any]) -> Checks:
        return {"momentum": PerGroup(fraction)} if given.get("cycle_momentum") is True else {}

    def _read(self, given: Any) -> tuple[Options, list[str]]:
        values, faults = super()._read(given)
        conflict = self._conflict(values.get("cycle_momentum", False))
        return values, [*faults, conflict] if conflict else faults

    def _take(self, values: Options) -> None:
        momentums = values.pop("momentum", None)
        super()._take(values)
        if momentums is not None:
            for group, value in zip(self.optimizer.param_groups, momentums, strict=True):
                self._write_momentum(group, value)
