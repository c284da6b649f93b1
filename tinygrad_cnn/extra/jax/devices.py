"""The engine of `fit` that takes the steps on JAX's devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from ...tensor import Tensor
from ...training.steps import Steps
from .functions import to_jax
from .steps import DeviceSteps

if TYPE_CHECKING:
    from ...training.run import Run


class Devices:
    """An engine of :func:`tinygrad_cnn.fit`: the steps run on JAX's devices, under jax.jit.

    Each batch is cut along its first axis, one part for each device; parameters and the optimizer's state are on all of them.
    A batch whose size is no multiple of the number of devices is computed whole on each. The results are those of the whole
    batch: so are the moments of batch normalization. A last batch that is smaller is compiled once more.

    The optimizer is the one that ``fit`` is given: its rule runs on the devices, and its options are read before every step, so
    that schedules work. Dropout draws from keys that the library's generator and the number of the step determine. The model
    and the optimizer have the new values after each epoch, when ``fit`` ends, and wherever a callback may look at them, which
    costs a copy in each step for callbacks with ``on_step_end`` or ``on_gradients`` of one's own.

    Args:
        devices: devices of JAX, such as jax.devices("gpu"); all that ``jax.devices()`` gives by default.

    Raises:
        TypeError, ValueError: if an argument is not valid.
        JaxError: in ``fit``, if the model, the loss or the optimizer does what JAX cannot: see :func:`function`.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> model, x = tg.nn.Linear(1, 1), np.linspace(-1, 1, 8, dtype=np.float32)[:, None]
    >>> optimizer = tg.optim.SGD(model.parameters(), lr=0.5)
    >>> history = tg.fit(
    ...     model, (x, 2 * x + 1), tg.mse, optimizer, epochs=50, engine=tg.jax.Devices(), progress=False
    ... )
    >>> history["loss"][-1] < 1e-6
    True
    """

    def __init__(self, devices: Sequence[Any] | None = None) -> None:
        self.devices = list(jax.devices() if devices is None else devices)
        if not self.devices or not all(isinstance(device, jax.Device) for device in self.devices):
            raise TypeError(
                f"Devices: `devices` is {devices!r:.60}; it must be a list of devices, such as jax.devices()"
            )
        mesh = jax.sharding.Mesh(np.array(self.devices), ("batch",))
        self.cut = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
        self.whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())

    def __repr__(self) -> str:
        return f"Devices({len(self.devices)} x {self.devices[0].platform})"

    def steps_of(self, run: Run, compile: bool) -> Steps:
        """The steps that `fit` takes."""
        return DeviceSteps(self, run)

    def put(self, values: Any) -> Any:
        """Arrays on every device."""
        return jax.device_put(values, self.whole)

    def put_batch(self, parts: Sequence[Tensor]) -> list[Any]:
        """The parts of a batch, cut if all devices get as much."""
        arrays = [to_jax(part.numpy(), "a batch") for part in parts]
        even = all(len(array) % len(self.devices) == 0 for array in arrays)
        return [jax.device_put(array, self.cut if even else self.whole) for array in arrays]
