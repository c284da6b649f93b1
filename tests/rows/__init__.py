"""The case table: the rows of every family of ops, in one list. Each module of this folder has some, as ``CASES``."""

from __future__ import annotations

import importlib
import pkgutil

from tinygrad_cnn.testing.cases import Case

FAMILIES = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]

CASES: list[Case] = [case for family in FAMILIES for case in family.CASES]
