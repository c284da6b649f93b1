"""Every row of the case table, once as it is drawn and once square: the value, and the gradients at first order.

It takes seconds, and notices every wrong rule: see `tests/mutants/test_rules.py`. What takes longer is in `test_every_op.py`.
"""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.testing import assert_gradients
from tinygrad_cnn.testing.cases import Case, Draws

from ..rows import CASES


class Square(Draws):
    """Inputs of the rows' square shapes."""

    def square(self):
        return True


SOURCES = (Draws, Square)


def check(case: Case, source: type[Draws]) -> None:
    """The value is the reference, and the gradients are those of finite differences: of memory, layouts and regimes, too."""
    arrays = case.draw(source(np.random.default_rng(0)))
    np.testing.assert_allclose(case.call(*arrays), case.expected(*arrays), rtol=1e-12, atol=1e-13)
    if case.order:
        assert_gradients(case, *arrays, order=1, directions=1, budget=0)


FUNCTIONS = list(dict.fromkeys(case.function for case in CASES))


@pytest.mark.whole
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_values_and_gradients(function):
    for case in (case for case in CASES if case.function is function):
        for source in SOURCES:
            try:
                check(case, source)
            except Exception as error:
                error.add_note(f"in the row {case.name}, as {source.__name__} draws it")
                raise
