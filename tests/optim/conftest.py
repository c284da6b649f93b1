import pytest

import tinygrad_cnn as tg


@pytest.fixture
def one_thread():
    """Each thread has scratch of its own, and makes it in whichever step it first takes part in."""
    before = tg.get_num_threads()
    tg.set_num_threads(1)
    yield
    tg.set_num_threads(before)
