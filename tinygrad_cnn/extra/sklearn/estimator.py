"""The base of both estimators: parameters, the training, and the outputs of the trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ...checks import checked, number
from ...nn import Module
from ...ops.losses.regression import mse
from ...ops.random import generator, stream
from ...optim import Adam, LRScheduler, Optimizer
from ...scope import errors
from ...tensor import get_default_dtype
from ...training import Callback, History, fit, predict
from ...training.arguments import Loss

PREFIX = "module__"
overflowing = errors(over="ignore")
_FRACTION = {"validation_fraction": number("a number between 0 and 1", lambda share: 0 < share < 1)}
Build: TypeAlias = Callable[[int, int], Module]


class Estimator(BaseEstimator):
    """The base of :class:`Classifier` and :class:`Regressor`, which describe the parameters."""

    module_: Module
    history_: History
    n_features_in_: int

    def __init__(
        self, module: Module | Build, *, loss: Loss = mse, optimizer: Callable[..., Optimizer] = Adam,
        lr: float = 1e-3, scheduler: Callable[[Optimizer], LRScheduler] | None = None, epochs: int = 10,
        batch_size: int = 32, validation_fraction: float | None = None, metrics: Any = None, callbacks: Iterable[Callback] = (),
        compile: bool = True, progress: bool = False, random_state: Any = None, **module__: Any,
    ) -> None:  # fmt: skip
        self.__dict__.update(self._for_module(module__))
        self.module = module
        self.loss = loss
        self.optimizer = optimizer
        self.lr = lr
        self.scheduler = scheduler
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.metrics = metrics
        self.callbacks = callbacks
        self.compile = compile
        self.progress = progress
        self.random_state = random_state

    # Arguments of the function that builds the module, as skorch names them: module__width=8

    def _for_module(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """TypeError unless each keyword is of the form module__name."""
        if wrong := [name for name in options if not name.startswith(PREFIX)]:
            names = self._get_param_names()
            raise TypeError(
                f"{self._name}() got an unexpected keyword argument {wrong[0]!r}; it has {', '.join(names)}, and "
                "module__name=... for an argument of the function that builds the module"
            )
        return dict(options)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name, those of the module's function as module__name."""
        found: dict[str, Any] = super().get_params(deep)
        return found | {name: value for name, value in vars(self).items() if name.startswith(PREFIX)}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; module__name is an argument of the function that builds the module."""
        options = {name: value for name, value in params.items() if name.startswith(PREFIX)}
        super().set_params(**{name: value for name, value in params.items() if name not in options})
        self.__dict__.update(self._for_module(options))
        return self

    def _checked(self, X: Any, *y: Any, **options: Any) -> Any:
        """X, and y if it is given, checked by scikit-learn; X of the default dtype. Without y, X must be as in fit."""
        with overflowing:  # infinity is refused
            return validate_data(self, X, *y, reset=bool(y), dtype=get_default_dtype(), allow_nd=True, **options)

    def _train(
        self, x: NDArray[Any], y: NDArray[Any], outputs: int, *, stratify: bool, class_weight: Any = None
    ) -> None:
        """Train a new model with `outputs` outputs, and keep it and its history."""
        seed = None if self.random_state is None else check_random_state(self.random_state).randint(2**31)
        with nullcontext() if seed is None else stream(int(seed)):
            model = self._model(x, outputs)
            if not callable(self.optimizer):
                raise TypeError(
                    f"{self._name}: `optimizer` is {self.optimizer!r:.80}; it must be a class such as tg.optim.Adam, or a "
                    "function of parameters and lr, such as partial(tg.optim.SGD, momentum=0.9)"
                )
            optimizer = self.optimizer(model.parameters(), lr=self.lr)
            scheduler = self._scheduler(optimizer)
            data: tuple[NDArray[Any], NDArray[Any]] = (x, y)
            validate = None
            if self.validation_fraction is not None:
                checked(self._name, _FRACTION, vars(self))
                x, held_x, y, held_y = train_test_split(
                    x, y, test_size=self.validation_fraction, stratify=y if stratify else None,
                    random_state=int(generator().integers(2**31)),
                )  # fmt: skip
                data, validate = (x, y), (held_x, held_y)
            self.history_ = fit(
                model, data, self.loss, optimizer, epochs=self.epochs, batch_size=self.batch_size, metrics=self.metrics,
                class_weight=class_weight, scheduler=scheduler, validate=validate, callbacks=deepcopy(self.callbacks),
                compile=self.compile, progress=self.progress,
            )  # fmt: skip
        self.module_ = model

    def _scheduler(self, optimizer: Optimizer) -> LRScheduler | None:
        if self.scheduler is None:
            return None
        scheduler = self.scheduler(optimizer) if callable(self.scheduler) else self.scheduler
        if not isinstance(scheduler, LRScheduler):
            raise TypeError(
                f"{self._name}: `scheduler` is or returns {scheduler!r:.80}; it must be a function of the optimizer that "
                "returns a schedule, such as partial(tg.optim.StepLR, step_size=10)"
            )
        return scheduler

    def _model(self, x: NDArray[Any], outputs: int) -> Module:
        named = {name: value for name, value in vars(self).items() if name.startswith(PREFIX)}
        options = {name.removeprefix(PREFIX): value for name, value in named.items()}
        if isinstance(self.module, Module):
            if options:
                raise TypeError(
                    f"{self._name}: `module` is built already, and there is {', '.join(named)}, for the function that "
                    "builds it; give the function"
                )
            model = deepcopy(self.module)
        elif callable(self.module):
            model = self.module(x.shape[1], outputs, **options)
        else:
            model = self.module
        if not isinstance(model, Module):
            raise TypeError(
                f"{self._name}: `module` is or returns {model!r:.80}; it must be a module of tinygrad_cnn.nn, or a function of "
                "the numbers of features and of outputs that returns one"
            )
        shape = np.shape(predict(model, x[:1]))
        if shape != (1, outputs):
            raise ValueError(
                f"{self._name}: the outputs of `module` for one example have shape {shape}; it must be {(1, outputs)}. A "
                "function of the numbers of features and of outputs can build a module that fits the data"
            )
        return model

    def _outputs(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self)
        outputs: NDArray[Any] = predict(self.module_, self._checked(X), batch_size=self.batch_size)
        return outputs

    @property
    def _name(self) -> str:
        return type(self).__name__
