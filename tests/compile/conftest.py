"""In these tests compiled functions replay from their second call on, unless a test asks for `audits`."""

from __future__ import annotations

import pytest

from tinygrad_cnn.compile import program


@pytest.fixture(autouse=True)
def every_test_replays(replays):
    """See the fixture `replays`."""


@pytest.fixture
def audits(replays, tuning):
    """Calls are audited when they are for users: 2, 3, 5, 9, 17 and so on."""
    tuning(program, FIRST_AUDIT=2)
