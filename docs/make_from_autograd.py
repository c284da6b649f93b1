"""Write docs/from-autograd.md: `python docs/make_from_autograd.py`. A test fails while the page is out of date.

The table of NumPy's functions in it is made from what the library itself knows: which functions an op or a composite stands
for, which compute without recording, and which are refused and why. The test of NumPy's names calls each of them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.core.graph import numpy_ops
from tinygrad_cnn.names import TABLES
from tinygrad_cnn.numpy_api.refused import FORM, QUERIES, REFUSED

VERSION = ".".join(np.__version__.split(".")[:2])
PAGE = Path(__file__).parent / "from-autograd.md"

CONSTANT = {np.zeros_like, np.ones_like, np.empty_like, np.isneginf, np.isposinf, np.nonzero}
"""Functions composed of ops that record nothing: what they return is constant."""

ASIDE = {
    "makes arrays from sizes and numbers; use the function of tinygrad_cnn": """
        arange bartlett blackman diag_indices empty eye full hamming hanning identity indices kaiser mask_indices ones tri
        tril_indices triu_indices zeros fft.fftfreq fft.rfftfreq fromfunction""",
    "asks a Tensor for its values: RuntimeError if it requires a gradient": """
        array asanyarray asarray asarray_chkfinite ascontiguousarray asfortranarray asmatrix bmat from_dlpack frombuffer require
        isfortran nested_iters""",
    "converts to Python numbers, as float(t) does: without a gradient": "fromiter",
    "is about files and text": """
        base_repr binary_repr format_float_positional format_float_scientific fromfile fromregex fromstring genfromtxt load
        loadtxt""",
    "is about dtypes, shapes or NumPy itself": """
        broadcast_shapes datetime_data frompyfunc get_include get_printoptions getbufsize geterr geterrcall info isdtype
        isscalar issubdtype iterable mintypecode printoptions promote_types set_printoptions setbufsize seterr seterrcall
        show_config show_runtime test typename""",
}
"""Functions that NumPy does not hand to Tensors, by what they do."""


class Row(NamedTuple):
    """What happens to a function of NumPy on Tensors."""

    name: str
    function: Callable[..., Any]
    kind: str  # "recorded", "plain", "refused" or "aside"
    why: str


def rows() -> Iterator[Row]:
    """A row for every public function of numpy, numpy.linalg and numpy.fft. KeyError for one that nothing is known about."""
    aside = {name: why for why, names in ASIDE.items() for name in names.split()}
    for module, prefix in ((np, ""), (np.linalg, "linalg."), (np.fft, "fft.")):
        for name in sorted(getattr(module, "__all__", dir(module))):
            function = getattr(module, name, None)
            if name.startswith("_") or not callable(function) or inspect.isclass(function):
                continue
            yield Row(prefix + name, function, *_fate(prefix + name, function, aside))


def _fate(name: str, function: Callable[..., Any], aside: dict[str, str]) -> tuple[str, str]:
    standing = numpy_ops.get(function)
    if standing is not None:
        op = getattr(standing, "op", None)
        if function in CONSTANT:
            return "plain", "a constant Tensor"
        if op is not None and not op.rules:
            return "plain", "a Tensor without a gradient"
        return "recorded", f"`tg.{where}`" if (where := _public(name, standing)) else "under this name"
    if function in FORM:
        return "plain", "looks at shapes and dtypes only"
    if function in QUERIES:
        return "plain", "indices, Booleans, integers or text"
    if function in REFUSED:
        return "refused", REFUSED[function]
    return "aside", aside[name]


def _public(name: str, standing: Callable[..., Any]) -> str:
    """The public name of a function, the same as NumPy's if it has several."""
    found = [
        prefix + public
        for prefix, namespace in (("", tg), ("linalg.", tg.linalg))
        for public in namespace.__all__
        if vars(namespace).get(public) is standing
    ]
    return name if name in found else (found or [""])[0]


def page() -> str:
    """The text of the page."""
    found = list(rows())
    lines = [HEAD.strip(), "", "## NumPy's functions, name by name", "", TABLE.strip().replace("VERSION", VERSION), ""]
    for kind, title in (
        ("recorded", "Recorded: with derivatives of every order"),
        ("plain", "Computed without recording: there is no derivative"),
        ("refused", "Refused, with a TypeError, where a Tensor requires a gradient"),
        ("aside", "Not handed to Tensors"),
    ):
        own = [row for row in found if row.kind == kind]
        lines += [f"### {title}", "", "| NumPy | |", "| --- | --- |"]
        lines += [f"| `np.{row.name}` | {row.why} |" for row in own] + [""]
    lines += [MYGRAD.strip(), ""]
    for theirs in ("mygrad", "mygrad.Tensor", "mygrad.nnet"):
        lines += [f"| `{theirs}` | here |", "| --- | --- |"]
        lines += [
            f"| `{name}` | {use.strip('()') if use.startswith('(') else f'`{use}`'} |"
            for name, use in TABLES[theirs].items()
        ]
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


MYGRAD = """
## From MyGrad

[MyGrad](https://github.com/rsokl/MyGrad) has Tensors and NumPy's functions too, so most programs need only a new import. Here
a Tensor gets a gradient if it says `requires_grad=True`, and `x.grad` is a Tensor. Functions that NumPy has are in the tables
above; the others have these names, which errors give, too:
"""


HEAD = """
# From HIPS/autograd

[HIPS/autograd](https://github.com/HIPS/autograd) differentiates NumPy code. So does this library: it keeps NumPy's names and
arguments, and adds `vmap` and compilation.

| HIPS/autograd | here |
| --- | --- |
| `import autograd.numpy as np` | `import numpy as np`: NumPy's functions record on Tensors; or `tg.exp` and so on |
| `grad(f)`, `value_and_grad(f)` | `tg.grad(f)`, `tg.value_and_grad(f)`, in float64 for float64 input |
| `elementwise_grad(f)` | `tg.grad(lambda x: f(x).sum())` |
| `jacobian(f)`, `hessian(f)` | `tg.jacobian(f)`, `tg.hessian(f)` |
| `make_jvp(f)(x)(v)`, `make_vjp(f)(x)` | `tg.jvp(f, (x,), (v,))`, `tg.vjp(f, x)` |
| `hessian_vector_product(f)(x, v)` | `tg.hvp(f, (x,), (v,))` |
| `checkpoint(f)` | `tg.checkpoint(f, x)` |
| `@primitive`, `defvjp` | `@tg.op`, `f.vjp(a=...)` ([Your own op](custom-ops.md)) |
| `ArrayBox` in an error | a Tensor, which names its shape and op |
| `check_grads(f)(x)` | `tinygrad_cnn.testing.assert_gradients(f, x)` |
| `autograd.scipy.special` | its namesake `special` here, with the extra `scipy`: see below |
| `x[i] = v` is an error | so it is here; `tg.index_set(x, i, v)` returns a new Tensor |
| `np.array([f(x), g(x)])` of boxes | `tg.stack([f(x), g(x)])`; `np.array` raises |
| gradients are arrays | gradients are Tensors: `w = w - rate * g`, or `w -= rate * g.numpy()` for an array `w` |
| `value_and_grad(f)` for `scipy.optimize` | `tg.value_and_grad(f, numpy=True)` ([SciPy's optimizers](scipy.md)) |
| a Python float is float64 | so it is here in functions that are differentiated; `tg.Tensor(1.0)` is float32 |
| `grad(f)(3)` | `tg.grad(f)(3.0)`: an integer has no derivative |

Complex Tensors are not recorded. Write the real and the imaginary part as two Tensors. A discrete Fourier transform of real
data is a product with the matrices of cosines and sines, `np.cos(t) @ x` and `-np.sin(t) @ x` with
`t = 2 * np.pi * np.outer(k, n) / N`.

The module `special` of this package has SciPy's `betaln`, `digamma`, `erf`, `erfc`, `erfinv`, `expit`, `gamma`,
`gammaln`, `i0e`, `i1e`, `log_ndtr`, `logit`, `ndtr`, `ndtri`, `polygamma`, `xlog1py` and `xlogy`. `pip install
'tinygrad_cnn[scipy]'` brings SciPy. Once the module is loaded, SciPy's own functions of these names (all but
`polygamma`) record on Tensors, too.

The log-density of a normal distribution, which `autograd.scipy.stats` has, is a line:

```python
import numpy as np
import tinygrad_cnn as tg

def normal_logpdf(x, mean, std):
    return -0.5 * ((x - mean) / std) ** 2 - tg.log(std) - 0.5 * np.log(2 * np.pi)

print(tg.grad(lambda m: normal_logpdf(1.0, m, tg.Tensor(2.0)))(3.0).item())
```

```text
-0.5
```
"""

TABLE = """
No function loses a gradient silently. The table says for every public function of `numpy`, `numpy.linalg` and `numpy.fft` what
it does with Tensors (NumPy VERSION). Ufuncs take no `out=` and `where=` beside a Tensor, and functions no argument that writes
into an array.
"""

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}: {len(list(rows()))} functions\n")
