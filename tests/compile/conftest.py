"""From their second call on, compiled functions replay their program.

An audited call is traced, so what it returns is what eager mode gives, whatever the program is. Calls 2 and 3 are audited by
default: a test of few calls would look at no replay.
"""

from __future__ import annotations

import pytest

from tinygrad_cnn.compile import program

from ..tuning import tuned


@pytest.fixture(autouse=True)
def replays():
    with tuned() as tune:
        tune(program, FIRST_AUDIT=1000)
        yield


@pytest.fixture
def audits(replays, tuning):
    """Calls are audited when they are for users: 2, 3, 5, 9, 17 and so on."""
    tuning(program, FIRST_AUDIT=2)
