"""Tools that prove gradients right, for this library's ops and for yours. Strategies for Hypothesis are in ``.strategies``."""

from importlib import import_module
from types import ModuleType

from .gradcheck import assert_gradients, gradcheck
from .leaks import assert_no_leak
from .mutants import Mutant, mutants, survivors
from .regimes import assert_regimes_agree
from .report import Failure, Kink, Report

__all__ = [
    "Failure", "Kink", "Mutant", "Report", "assert_gradients", "assert_no_leak", "assert_regimes_agree", "gradcheck",
    "mutants", "survivors",
]  # fmt: skip


def __getattr__(name: str) -> ModuleType:
    if name != "strategies":  # they need Hypothesis
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(".strategies", __name__)


def __dir__() -> list[str]:
    """Public names only."""
    return sorted([*__all__, "strategies"])
