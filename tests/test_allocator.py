"""Freed memory that stays with the process, seen in the page faults of another one."""

import platform
import subprocess
import sys

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.allocator import LEAST, MOST

FAULTS = """
import resource, numpy as np, tinygrad_cnn as tg
{first}
def step():
    kept = [np.ones(1 << 19, "f") for _ in range(6)]
    return sum(a[0] for a in kept)
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(first):
    """Of ten steps that each make and free six arrays of 512 pages."""
    done = subprocess.run([sys.executable, "-c", FAULTS.format(first=first)], capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have rules of their own")
@pytest.mark.parametrize("nbytes", ["", MOST])
def test_freed_memory_is_used_again(nbytes):
    assert faults(f"tg.keep_freed_memory({nbytes})") < 500
    assert faults("") > 5000


@pytest.mark.parametrize(
    ("nbytes", "error", "rule"),
    [
        (1.5, TypeError, "an integer"),
        (LEAST - 1, ValueError, "it must be from"),
        (MOST + 1, ValueError, "it must be from"),
    ],
)
def test_sizes_out_of_range_are_refused(nbytes, error, rule):
    with pytest.raises(error, match=rf"keep_freed_memory: `nbytes` is {nbytes}; .*{rule}"):
        tg.keep_freed_memory(nbytes)
