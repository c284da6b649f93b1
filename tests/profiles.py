"""The two profiles of the suite. The quick one, of a few seconds, is the default; ``pytest --thorough`` runs everything.

The quick profile leaves out tests marked `slow`, and of a test with :func:`rotating` parameters it runs a part. Which part is a
number, the day unless ``--rotation`` says another: so all are run in the course of some days, and any run can be repeated. A
test that is named on the command line (``pytest tests/test_a.py::test_b``) runs as it does in the thorough profile.
"""

from __future__ import annotations

import datetime
import os
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("dev", max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.register_profile("brief", settings.get_profile("ci"), max_examples=6)
settings.register_profile("quick", settings.get_profile("ci" if os.environ.get("CI") else "dev"), max_examples=4)
settings.register_profile("thorough", settings.get_profile("dev"), max_examples=1000)


def rotating(one_of: int, names: str, values: Iterable[Any], ids: Any = None) -> pytest.MarkDecorator:
    """``pytest.mark.parametrize``, of whose parameters the quick profile takes one in `one_of`, every day others."""
    return pytest.mark.rotating(one_of, names, list(values), ids)


def add_options(parser: pytest.Parser) -> None:
    """The options that choose what runs."""
    group = parser.getgroup("tinygrad_cnn")
    group.addoption("--thorough", action="store_true", help="run all tests with all parameters, which takes many minutes")
    group.addoption(
        "--rotation", type=int, metavar="N", help="which part of the rotating parameters runs; the day, as a number, by default"
    )


def is_thorough(config: pytest.Config) -> bool:
    """Whether all tests run with all parameters."""
    return bool(config.option.thorough) or any("::" in argument for argument in config.args)


def configure(config: pytest.Config) -> None:
    """Choose the rotation, which processes of pytest-xdist take over from the first, and the profile of Hypothesis."""
    if config.option.rotation is None:
        config.option.rotation = datetime.date.today().toordinal()
    usual = ("ci" if os.environ.get("CI") else "dev") if is_thorough(config) else "quick"
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", usual))


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Give a test its :func:`rotating` parameters: all, or those of this run."""
    config = metafunc.config
    for mark in metafunc.definition.iter_markers("rotating"):
        one_of, names, values, ids = mark.args
        if not is_thorough(config):
            values = turn(values, one_of, config.option.rotation + zlib.crc32(metafunc.definition.nodeid.encode()))
        metafunc.parametrize(names, values, ids=ids)


def turn(values: Sequence[Any], one_of: int, rotation: int) -> Sequence[Any]:
    """Every `one_of`-th value, at least one; `one_of` successive rotations have all of them."""
    step = max(1, min(one_of, len(values)))
    return values[rotation % step :: step]


def leave_out_slow(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests marked `slow`."""
    if is_thorough(config):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)


def tell(terminal: Any, config: pytest.Config) -> None:
    """Say at the end what was left out, and how the same tests can be run again."""
    if not is_thorough(config):
        n = config.option.rotation
        terminal.write_line(
            f"This was the quick profile, without slow tests and with a part of the rows: --rotation={n} repeats it, "
            "--thorough runs everything."
        )
