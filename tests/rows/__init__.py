"""The case table: the rows of every family of ops, in one list. Each module of this folder has some, as ``CASES``."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace

from tinygrad_cnn.core.remedies import original
from tinygrad_cnn.testing.cases import Case

FAMILIES = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]


def plain(case: Case) -> Case:
    """The row with the library's own function, whether it was imported from a public module or not."""
    function = original(case.function)
    return case if function is case.function else replace(case, function=function)


CASES: list[Case] = [plain(case) for family in FAMILIES for case in family.CASES]
