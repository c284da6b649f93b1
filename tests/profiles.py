"""The two profiles of the suite. The quick one is the default; ``pytest --thorough`` runs everything.

The quick profile leaves out tests marked `slow`. Of a test with many parameters it runs a part: LEAST of them, or one in
SHARE if these are more; n if the test is marked ``part(n)``, and all if it is marked `whole`. Which part depends on a number,
that of the day unless ``--rotation`` says another: so all have their turn in the course of some days, and any run can be
repeated. Hypothesis draws few examples. A test that is named on the command line, as ``pytest tests/test_a.py::test_b``, runs
as in the thorough profile.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tinygrad_cnn import set_num_threads

LEAST, SHARE = 20, 40

settings.register_profile("dev", max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.register_profile("brief", settings.get_profile("ci"), max_examples=6)
settings.register_profile("quick", settings.get_profile("ci" if os.environ.get("CI") else "dev"), max_examples=4)
settings.register_profile("thorough", settings.get_profile("dev"), max_examples=1000)


def add_options(parser: pytest.Parser) -> None:
    """The options that choose what runs."""
    group = parser.getgroup("tinygrad_cnn")
    group.addoption(
        "--thorough", action="store_true", help="run all tests with all parameters, which takes many minutes"
    )
    group.addoption(
        "--rotation", type=int, metavar="N", help="which part of many parameters runs; by default the number of the day"
    )


def is_thorough(config: pytest.Config) -> bool:
    """Whether all tests run with all parameters."""
    named = any("::" in argument for argument in config.args)
    return bool(config.option.thorough) or named or os.environ.get("HYPOTHESIS_PROFILE") == "thorough"


def configure(config: pytest.Config) -> None:
    """Choose the rotation, which processes of pytest-xdist take over from the first, and the profile of Hypothesis.

    In the quick profile these processes have one thread each: those of BLAS would wait for each other, at work.
    """
    if config.option.rotation is None:
        config.option.rotation = datetime.date.today().toordinal()
    if hasattr(config, "workerinput") and not is_thorough(config):
        set_num_threads(1)
    usual = ("ci" if os.environ.get("CI") else "dev") if is_thorough(config) else "quick"
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", usual))


def rotate(metafunc: pytest.Metafunc) -> Iterator[None]:
    """After a test was given its parameters, leave it those whose turn it is."""
    yield
    test, config = metafunc.definition, metafunc.config
    if not is_thorough(config) and not test.get_closest_marker("whole"):
        part = test.get_closest_marker("part")
        count = part.args[0] if part else max(LEAST, len(metafunc._calls) // SHARE)
        # The public hooks see the tests when they are made, and making 40,000 takes longer than running those that are left.
        kinds = [[*_kinds(call.params)] for call in metafunc._calls]
        chosen = turn(kinds, count, config.option.rotation, test.nodeid)
        metafunc._calls[:] = [metafunc._calls[i] for i in chosen]


def _kinds(params: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """What parameters have in common with others: each of them, by its name and value."""
    for name, value in params.items():
        try:
            hash(value)
        except TypeError:
            value = id(value)
        yield name, value


def turn(kinds: Sequence[Sequence[tuple[str, object]]], count: int, rotation: int, name: str) -> list[int]:
    """The numbers of the parameters whose turn it is: `count` of them, and in the next rotation others, until all had it.

    If a parameter has no more than `count` values, each of these is among them, for which there may be a few more: of 20
    optimizers and 13 kinds of errors none is left out.
    """
    n = len(kinds)
    if n <= count:
        return [*range(n)]
    order = Random(name).sample(range(n), n)
    order = [order[(rotation * count + k) % n] for k in range(n)]
    values: dict[str, set[object]] = {}
    for label, value in chain.from_iterable(kinds):
        values.setdefault(label, set()).add(value)
    few = {label for label, found in values.items() if len(found) <= count}
    seen: set[object] = set()
    chosen = []
    for k, i in enumerate(order):
        new = {kind for kind in kinds[i] if kind[0] in few} - seen
        if k < count or new:
            chosen.append(i)
            seen |= new
    return sorted(chosen)


def leave_out_slow(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests marked `slow`."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow and not is_thorough(config):
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)


def tell(terminal: Any, config: pytest.Config) -> None:
    """Say at the end what was left out, and how the same tests can be run again."""
    if not is_thorough(config):
        n = config.option.rotation
        terminal.write_line(
            f"This was the quick profile, without slow tests and with a part of the parameters: --rotation={n} repeats "
            "it, --thorough runs everything."
        )
