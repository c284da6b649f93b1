"""A classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from ...nn import Module
from ...ops.losses.classification import cross_entropy
from ...ops.softmax import softmax
from ...optim import Adam, LRScheduler, Optimizer
from ...training import Callback
from ...training.arguments import Loss
from .estimator import Build, Estimator


class Classifier(ClassifierMixin, Estimator):
    """A model that learns classes, as an estimator of scikit-learn.

    Args:
        module: a Module, which is copied for each fit; or, so that it fits the data, a function of the numbers of features
            ``X.shape[1]`` and of classes that returns a new one: ``tg.nn.Linear``, for example. It returns scores
            (N, classes).
        loss: a function of scores (N, classes) and the numbers of the classes (N,).
        optimizer: a class of ``tg.optim``, or another function of parameters and ``lr`` that returns an optimizer.
        lr: the learning rate.
        scheduler: a function of the optimizer that returns a schedule, which is stepped after each epoch.
        epochs, batch_size, metrics, compile, progress: as in :func:`tinygrad_cnn.fit`.
        class_weight: "balanced", or a dict of weights by label.
        validation_fraction: the share of examples that are not learned, and on which the model is measured after each epoch.
        callbacks: of ``tg.training``; each fit copies them.
        random_state: of weights, orders and dropout: a whole number for the same result in each fit, a NumPy RandomState,
            or None for the library's generator.
        module__name: an argument `name` of the function that builds the module, such as ``module__width=8``.

    Attributes:
        module_: the trained model.
        history_: the measures of the training, by epoch.
        classes_: the labels, in the order of the scores.
        n_features_in_: the number of features.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> classifier = tg.sklearn.Classifier(tg.nn.Linear, lr=0.1, epochs=20, random_state=0)
    >>> classifier.fit(x, np.where(x[:, 0] > 0, "high", "low")).predict([[-0.9], [0.9]])
    array(['low', 'high'], dtype='<U4')
    """

    classes_: NDArray[Any]

    def __init__(
        self, module: Module | Build, *, loss: Loss = cross_entropy, optimizer: Callable[..., Optimizer] = Adam,
        lr: float = 1e-3, scheduler: Callable[[Optimizer], LRScheduler] | None = None, epochs: int = 10,
        batch_size: int = 32, class_weight: Mapping[Any, float] | str | None = None,
        validation_fraction: float | None = None, metrics: Any = None, callbacks: Iterable[Callback] = (),
        compile: bool = True, progress: bool = False, random_state: Any = None, **module__: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            module, loss=loss, optimizer=optimizer, lr=lr, scheduler=scheduler, epochs=epochs, batch_size=batch_size,
            validation_fraction=validation_fraction, metrics=metrics, callbacks=callbacks, compile=compile,
            progress=progress, random_state=random_state, **module__,
        )  # fmt: skip
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any) -> Self:
        """Train a new model on examples X (N, features, ...) with labels y (N,).

        Raises:
            TypeError, ValueError: if a parameter or the data does not fit.
        """
        x, y = self._checked(X, y)
        check_classification_targets(y)
        self.classes_, classes = np.unique(y, return_inverse=True)
        weight = self.class_weight
        if isinstance(weight, Mapping):
            places = {label: place for place, label in enumerate(self.classes_.tolist())}
            if unknown := [label for label in weight if label not in places]:
                raise ValueError(f"Classifier: `class_weight` has the labels {unknown}; `y` has {list(places)}")
            weight = {places[label]: factor for label, factor in weight.items()}
        self._train(x, classes, len(self.classes_), stratify=True, class_weight=weight)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The label with the highest score for each example, (N,)."""
        places = self._outputs(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """softmax of the scores, (N, classes): the probabilities that a model has learned by cross-entropy."""
        return np.asarray(softmax(self._outputs(X), axis=1))
