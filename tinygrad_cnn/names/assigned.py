"""What users of other libraries assign to our objects, and the keywords by which they call modules."""

from __future__ import annotations

import inspect
from typing import Any, NoReturn

PLACES = {"input": 0, "input1": 0, "log_input": 0, "input2": 1}
"""PyTorch's names of the inputs of modules, and their positions."""

RATES = ("lr", "learning_rate")
"""Names by which other libraries set the learning rate."""

STOPS = ("stop_training", "should_stop")
"""Names by which Keras and Lightning end a training."""


def adapt(kind: Any) -> None:
    """Give a class of this library what it needs for that."""
    if kind.__name__ == "Module":
        kind._keywords = _named_as_here
    elif kind.__name__ == "Optimizer":
        kind.__setattr__ = _without_rates
    elif kind.__name__ == "Run":
        for name in STOPS:
            setattr(kind, name, property(lambda self: bool(self.stopped), _refuse_to_stop))


def _named_as_here(self: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keywords of a call, with PyTorch's names of inputs replaced if a module of this package is called.

    A parameter ``*inputs`` has no name that could replace one, and with ``**named`` every name is the module's own.
    """
    if PLACES.keys().isdisjoint(kwargs):
        return kwargs
    parameters = inspect.signature(self.forward).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return kwargs
    if getattr(self.forward, "__module__", "").partition(".")[0] != __name__.partition(".")[0]:
        return kwargs
    ours = {k: names[i] for k, i in PLACES.items() if k in kwargs and k not in names and i < len(names)}
    if not kwargs.keys().isdisjoint(ours.values()):
        return kwargs  # the input is given twice, which Python refuses
    return {ours.get(name, name): value for name, value in kwargs.items()}


def _without_rates(self: Any, name: str, value: Any) -> None:
    if name in RATES and "param_groups" in vars(self) and not hasattr(type(self), name):
        raise AttributeError(
            f"{type(self).__name__}: `{name}` is no attribute, and setting it would change nothing; write the rate of each "
            f"group: for group in optimizer.param_groups: group['lr'] = {value!r:.20}"
        )
    object.__setattr__(self, name, value)


def _refuse_to_stop(self: Any, value: Any) -> NoReturn:
    self.stop = value  # which raises
    raise AssertionError
