"""Functions and models on JAX's devices: GPUs, TPUs, or several of them.

Needs the packages jax and optax: pip install 'tinygrad_cnn[jax]'.
"""

try:
    import jax as _jax
    import optax as _optax  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"tinygrad_cnn.jax needs the package {error.name}, which is not installed; pip install 'tinygrad_cnn[jax]'",
        name=error.name,
    ) from error
if _jax.__version_info__ < (0, 9):  # older XLA folds constants wrongly: interpolate's gradients were wrong under jit
    raise ImportError(
        f"tinygrad_cnn.jax needs jax 0.9 or newer; this is {_jax.__version__}; pip install -U jax", name="jax"
    )

from ...core.remedies import publish
from . import bessel as _bessel  # noqa: F401 - these register what ops compute
from . import gammas as _gammas  # noqa: F401
from . import incomplete as _incomplete  # noqa: F401
from . import matrices as _matrices  # noqa: F401
from . import recurrent as _recurrent  # noqa: F401
from . import rows as _rows  # noqa: F401
from . import rules as _rules  # noqa: F401
from .devices import Devices
from .errors import JaxError
from .functions import apply, function, load, state
from .optimizers import transformation

__all__ = ["Devices", "JaxError", "apply", "function", "load", "state", "transformation"]


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
