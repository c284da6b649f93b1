"""Tools that prove gradients right, for this library's ops and for yours. Strategies for Hypothesis are in ``.strategies``."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .gradcheck import assert_gradients, gradcheck
from .leaks import assert_no_leak
from .mutants import Mutant, mutants, survivors
from .regimes import assert_regimes_agree
from .report import Failure, Kink, Report

__all__ = [
    "Failure", "Kink", "Mutant", "Report", "assert_gradients", "assert_no_leak", "assert_regimes_agree", "gradcheck",
    "mutants", "strategies", "survivors",
]  # fmt: skip

if TYPE_CHECKING:
    from . import strategies
else:

    def __getattr__(name: str) -> Any:
        """``strategies``, which need Hypothesis, at their first use."""
        if name == "strategies":
            return import_module(".strategies", __name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)
