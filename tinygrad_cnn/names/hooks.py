"""Hooks of callbacks of Keras, Lightning, fastai and skorch, and ours."""

from __future__ import annotations

_THEIRS = {
    "on_fit_begin": "on_train_begin on_train_start on_training_start on_training_begin on_fit_start before_fit before_train",
    "on_epoch_begin": "on_epoch_start on_train_epoch_start on_train_epoch_begin before_epoch",
    "on_gradients": "on_before_optimizer_step on_after_backward on_grad_computed after_backward before_step on_before_step",
    "on_step_end": "on_batch_end on_train_batch_end on_training_step_end after_batch after_step on_train_step_end",
    "on_validation_batch": "on_validation_batch_end on_test_batch_end on_val_batch_end",
    "on_epoch_end": """
        on_train_epoch_end on_validation_end on_validation_epoch_end on_test_end on_val_end after_epoch on_validate_end""",
    "on_fit_end": "on_train_end on_training_end on_exception on_keyboard_interrupt after_fit after_train",
}  # fmt: skip
HOOKS = {theirs: ours for ours, names in _THEIRS.items() for theirs in names.split()}
"""Our hook for each of theirs that a training here has, too."""
