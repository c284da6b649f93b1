"""Models as scikit-learn's estimators, for ``Pipeline``, ``GridSearchCV`` and so on. They need the extra ``sklearn``."""

try:
    import sklearn as _  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tinygrad_cnn.sklearn needs scikit-learn, which is not installed; pip install 'tinygrad_cnn[sklearn]'",
        name="sklearn",
    ) from error

from ...core.remedies import publish
from .classifier import Classifier
from .regressor import Regressor

__all__ = ["Classifier", "Regressor"]


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
