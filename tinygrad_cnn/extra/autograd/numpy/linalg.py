"""``numpy.linalg``, whose functions record."""

from __future__ import annotations

import numpy as _np

from ..wrapping import wrapped as _wrapped

globals().update(_wrapped({name: getattr(_np.linalg, name) for name in dir(_np.linalg)}, __name__))
