"""A regressor."""

from __future__ import annotations

from typing import Any, Self

from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array

from ...tensor import get_default_dtype
from .estimator import Estimator, overflowing


class Regressor(RegressorMixin, Estimator):
    """A model that learns one number or several, as an estimator of scikit-learn.

    Args:
        module: a Module, or a function of the numbers of features and of targets that returns one, as for
            :class:`Classifier`. It returns (N, targets), with one target (N, 1).
        loss: a function of outputs and targets, both (N, targets).
        optimizer, lr, scheduler, epochs, batch_size, validation_fraction, metrics, callbacks, compile, progress,
            random_state, module__name: as for :class:`Classifier`.

    Attributes:
        module_: the trained model.
        history_: the measures of the training, by epoch.
        n_features_in_: the number of features.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> regressor = tg.sklearn.Regressor(tg.nn.Linear, lr=0.1, epochs=100, random_state=0).fit(x, 3 * x[:, 0])
    >>> regressor.predict([[0.5]]).round(2)
    array([1.5])
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train a new model on examples X (N, features, ...) with targets y, (N,) or (N, targets).

        Raises:
            TypeError, ValueError: if a parameter or the data does not fit.
        """
        x, y = self._checked(X, y, multi_output=True, y_numeric=True)
        self._dtype = y.dtype if y.dtype.kind == "f" else get_default_dtype()
        with overflowing:  # infinity is refused
            y = check_array(y, dtype=get_default_dtype(), ensure_2d=False)
        self._single = y.ndim == 1
        self._train(x, y.reshape(len(y), -1), 1 if self._single else y.shape[1], stratify=False)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The outputs, of the shape of y in fit, (N,) or (N, targets), and of its dtype if that is a floating one."""
        outputs = self._outputs(X).astype(self._dtype)
        return outputs[:, 0] if self._single else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
