"""What methods of Keras's models are called here: in the form of the table of PyTorch's names."""

from __future__ import annotations

MODEL = {
    "tg.fit(model, (x, y), loss, optimizer, epochs=...)": "fit train_on_batch",
    "tg.evaluate(model, (x, y), loss)": "evaluate test_on_batch", "tg.predict(model, x)": "predict predict_on_batch",
    "tg.save(path, model.state_dict())": "save save_weights", "model.load_state_dict(tg.load(path))": "load_weights",
    "model.state_dict()": "get_weights weights variables", "model.load_state_dict": "set_weights",
    "model.parameters()": "trainable_weights trainable_variables", "model.buffers()": "non_trainable_weights",
    "model.requires_grad_(False), which freezes": "trainable", "model.modules()": "layers",
    "nn.Sequential.append": "add", "sum(p.size for p in model.parameters())": "count_params",
}  # fmt: skip
"""Methods of ``keras.Model``."""
