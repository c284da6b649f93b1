"""The tables of PyTorch's names and keywords, from those that the errors of the library are made of."""

from __future__ import annotations

from tinygrad_cnn.names.keywords import ABSENT, BESIDE, OF_FUNCTION, RENAMED
from tinygrad_cnn.names.synonyms import SYNONYMS, described
from tinygrad_cnn.names.torch import FUNCTIONS, TABLES

ELSEWHERE = {
    "tg.gradients(y, x)": "torch.autograd.grad",
    "tg.grad, vjp, jvp, jacrev, jacfwd, hessian, vmap, linearize": "torch.func.grad, ...",
    "tg.nn.functional_call": "torch.func.functional_call", "tg.checkpoint": "torch.utils.checkpoint.checkpoint",
    "tg.optim.clip_grad_norm_, clip_grad_value_": "torch.nn.utils.clip_grad_norm_, ...",
    "tg.optim.EMA": "torch.optim.swa_utils.AveragedModel", "tg.onnx.export, tg.onnx.load": "torch.onnx.export",
}  # fmt: skip
"""Names of further namespaces, which raise no errors of ours."""


def grouped(table: dict[str, str]) -> dict[str, list[str]]:
    """The names that have the same replacement."""
    found: dict[str, list[str]] = {}
    for name, use in table.items():
        found.setdefault(use, []).append(name)
    return found


def keywords(use: str) -> str:
    """Keywords, from names; a reason in brackets stays."""
    return use if use.startswith("(") else " or ".join(f"{name}=" for name in use.split())


def shown(use: str) -> str:
    """A replacement as code, or a reason without its brackets."""
    return (use[1:-1] if use.startswith("(") else f"`{use}`").replace("|", chr(92) + "|")


def rows(table: dict[str, str], head: str) -> list[str]:
    """A table of names and their replacements; reasons come last."""
    out = [f"| {head} | here |", "| --- | --- |"]
    for use, names in sorted(grouped(table).items(), key=lambda row: row[0].startswith("(")):
        out.append(f"| {' '.join(f'`{name}`' for name in names)} | {shown(use)} |")
    return [*out, ""]


def synonyms() -> str:
    """The tables of the names that work."""
    out = []
    for theirs, table in SYNONYMS.items():
        uses = {name: f"({described(synonym)})" for name, synonym in table.items()}  # which has its own backticks
        out += [f"### {theirs}: names that work", "", *rows(uses, "PyTorch")]
    return "\n".join(out)


def tables() -> str:
    """A section for each namespace of PyTorch, and one for keywords."""
    out = []
    for theirs, table in TABLES.items():
        if not theirs.startswith("torch"):
            continue  # Keras', MyGrad's
        called = (
            {"size()": "x.shape, or x.shape[i]"} if theirs == "torch.Tensor" else {}
        )  # x.size is the number of elements
        out += [f"### {theirs}", "", *rows({**called, **table}, "PyTorch")]
        if theirs == "torch.Tensor":
            names = " ".join(f"`{name}`" for name in FUNCTIONS)
            out += [
                f"These methods are functions here, under their own names or those of the table of `torch`: {names}.",
                "",
            ]
    out += ["### Further modules", "", *rows({name: use for use, name in ELSEWHERE.items()}, "PyTorch")]
    renamed = {k: use for k, use in RENAMED.items() if k != "axis"}  # NumPy's name for layers, where PyTorch's is right
    renamed |= {
        k: f"(works where the function means the same; its name here is `{renamed[k]}=`)"
        for k in ("dim", "keepdim", "start_dim", "end_dim")
    }
    by_position = {k: "(give it by position)" for k, use in BESIDE.items() if use}
    by_position["input"] = (
        "(works in functions of three parameters or more: `tg.cross_entropy(input=x, target=t)`; elsewhere give it by position)"
    )
    reasons = {k: f"({why})" for k, why in ABSENT.items()}
    out += [
        "### Keywords",
        "",
        "Layers, losses and optimizers have PyTorch's keywords; functions and methods have NumPy's.",
        "",
        *rows({f"{k}=": keywords(use) for k, use in {**renamed, **by_position, **reasons}.items()}, "PyTorch"),
        "Exceptions, by function:",
        "",
        "| function | PyTorch | here |",
        "| --- | --- | --- |",
    ]
    alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for function, table in OF_FUNCTION.items():
        alike.setdefault(tuple(table.items()), []).append(f"`{function}`")
    for pairs, functions in alike.items():
        for use, names in grouped(dict(pairs)).items():
            theirs = " ".join(f"`{k}=`" for k in names)
            out.append(f"| {' '.join(functions)} | {theirs} | {shown(keywords(use))} |")
    out.append("")
    return "\n".join(out)
