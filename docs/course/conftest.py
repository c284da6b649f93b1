"""The option of `pytest docs/course`: where the answers are."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--answers`, which `pytest docs/course` has and other runs have not."""
    parser.addoption(
        "--answers",
        type=Path,
        help="a folder of answers, such as 03-product.py; missing files are written, with the code to complete",
    )
