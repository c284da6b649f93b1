"""NumPy functions that Tensors do not record: some run on the array, the others raise an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _named(names: str) -> dict[Callable[..., Any], str]:
    """The functions of numpy with these names, and their names; those that this version of NumPy lacks are left out."""
    found = {}
    for name in names.split():
        thing: Any = np
        for part in name.split("."):
            thing = getattr(thing, part, None)
        if thing is not None:
            found[thing] = name
    return found


FORM = frozenset(_named("""
    can_cast common_type diag_indices_from iscomplexobj isrealobj may_share_memory min_scalar_type ndim result_type shape
    shares_memory size tril_indices_from triu_indices_from
"""))  # fmt: skip
"""Functions that read only the shape and dtype of an array."""

QUERIES = frozenset(_named("""
    allclose array2string array_equal array_equiv array_repr array_str count_nonzero digitize einsum_path flatnonzero
    in1d isclose iscomplex isin isreal lexsort nanargmax nanargmin packbits ravel_multi_index
    unpackbits unravel_index
"""))  # fmt: skip
"""Functions that read values and return nothing that has a gradient: indices, Booleans, integers or text."""

WRITES = frozenset(_named("copyto fill_diagonal place put put_along_axis putmask"))
"""Functions that write into their first argument."""

_REASONS = {
    "its result is complex, and complex Tensors are not recorded; write real and imaginary parts as two Tensors": """
        roots sort_complex""",
    "it writes into an array, and nothing recorded is ever written; use tinygrad_cnn.index_set or where": """
        copyto fill_diagonal place put put_along_axis putmask""",
    "it is about files; use tinygrad_cnn.save, or t.numpy()": "save savetxt savez savez_compressed",
    "it is about dates": "busday_count busday_offset datetime_as_string is_busday isnat",
    "a set of values changes with each of them; sort them with tinygrad_cnn.sort, or take the indices from t.numpy()": """
        intersect1d setdiff1d setxor1d union1d unique unique_all unique_counts unique_inverse unique_values""",
    "counts have no derivative; take them of t.numpy(), and sum weights with tinygrad_cnn.scatter_add": """
        bincount histogram histogram2d histogram_bin_edges histogramdd""",
    "it is about the spacing of floating-point numbers, and no function of real ones": "nextafter spacing",
    "it calls a Python function on parts of an array; use tinygrad_cnn.vmap, or where and select": """
        apply_along_axis apply_over_axes piecewise""",
    "an index has no derivative; make it of t.numpy()": "ix_",
    "it is a long division; multiply and subtract polynomials with tinygrad_cnn.polymul and polysub": "polydiv",
}  # fmt: skip

REFUSED = {function: reason for reason, names in _REASONS.items() for function in _named(names)}
"""Why a function that NumPy would hand to Tensors is refused, if one of them requires a gradient."""
