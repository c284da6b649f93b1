"""Freed memory that stays with the process, seen in the page faults and the resident memory of another one."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import allocator
from tinygrad_cnn.allocator import MOST, VARIABLE, find_glibc

on_glibc = pytest.mark.skipif(find_glibc() is None, reason="other allocators have rules of their own")
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
on_linux = pytest.mark.skipif(
    find_glibc() is None or not HUGE_PAGES.exists() or sys.maxsize <= MOST, reason="Linux has no huge pages here"
)
REFUSING = {"malloc": lambda nbytes: None, "madvise": lambda *a: -1}

STEPS = """
import os, resource, numpy as np, tinygrad_cnn as tg
x = tg.Tensor(np.ones({size}, "f"), requires_grad=True)
def step():
    y = x
    for _ in range(12):
        y = y * x
    y.sum().backward()
{first}
for _ in range(4):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
kept = resident()
found = [part.splitlines() for part in open("/proc/self/smaps").read().split("VmFlags:")]
heap = [(i, lines) for i, lines in enumerate(found) if any(line.endswith("[heap]") for line in lines)]
sizes = [int(line.split()[1]) for i, lines in heap for line in lines if line.startswith("Size:")]
advised = [" hg" in found[i + 1][0] for i, _ in heap]
print(sum(size for size, yes in zip(sizes, advised) if yes) << 10)
tg.keep_freed_memory(0)
print(kept - resident())
"""


def steps(first="", size=1 << 17, **environment):
    """The page faults of ten steps on arrays of 128 pages, the size of the heap for which the system is asked for huge pages,
    and the bytes that `keep_freed_memory(0)` then gives back."""
    done = subprocess.run(
        [sys.executable, "-c", STEPS.format(first=first, size=size)],
        capture_output=True, check=False, env={**os.environ, **environment}, encoding="utf-8",
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return [*map(int, done.stdout.split())]


@on_glibc
def test_a_large_backward_pass_keeps_freed_memory():
    faults, _, returned = steps()
    assert faults < 500
    assert 1 << 22 < returned < 1 << 26  # the heap's addresses, a gigabyte, took no memory


@on_linux
def test_kept_memory_is_to_lie_in_huge_pages():
    assert steps()[1] > allocator.KEPT - (1 << 22)


@pytest.mark.slow
@on_linux
@pytest.mark.parametrize("off", [{"NUMPY_MADVISE_HUGEPAGE": "0"}, {VARIABLE: "0"}], ids=["NumPy's", "ours"])
def test_huge_pages_can_be_turned_off(off):
    assert not steps(**off)[1]


@pytest.mark.slow
@on_linux
def test_where_addresses_are_limited_the_heap_does_not_grow():
    first = "resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))"
    faults, advised, _ = steps(first)
    assert faults < 500
    assert advised < 1 << 28


@pytest.mark.slow
@on_glibc
@pytest.mark.parametrize("off", [{"first": "tg.keep_freed_memory(0)"}, {VARIABLE: "0"}], ids=["switch", "environment"])
def test_it_can_be_turned_off_before(off):
    assert steps(**off)[0] > 2000


@on_glibc
def test_a_small_backward_pass_leaves_the_allocator_alone(monkeypatch):
    calls = []
    monkeypatch.setattr(allocator, "_decided", False)
    monkeypatch.setattr(
        allocator, "find_glibc", lambda: SimpleNamespace(mallopt=lambda *a: calls.append(a), **REFUSING)
    )
    for size, expected in [((1 << 15) - 1, 0), (1 << 15, 2), (1 << 15, 2)]:
        tg.exp(tg.Tensor([0.0] * size, requires_grad=True)).sum().backward()
        assert len(calls) == expected


RESULTS = {
    "convolution by cached columns": lambda n: tg.conv1d(np.ones((1, 1, n), "f"), np.ones((1, 1, 1), "f")),
    "convolution": lambda n: tg.conv1d(np.ones((n // 512, 16, 514), "f"), np.ones((1, 16, 3), "f")),
    "depthwise convolution": lambda n: tg.conv1d(np.ones((1, 8, n // 8), "f"), np.ones((8, 1, 1), "f"), groups=8),
    "linear": lambda n: tg.linear(np.ones((n // 8, 128), "f"), np.ones((8, 128), "f")),
    "linear of three axes": lambda n: tg.linear(np.ones((2, n // 16, 128), "f"), np.ones((8, 128), "f")),
}


@on_glibc
@pytest.mark.parametrize("name", RESULTS)
def test_a_large_result_of_inference_keeps_freed_memory(name, monkeypatch):
    calls = []
    monkeypatch.setattr(allocator, "_decided", False)
    monkeypatch.setattr(
        allocator, "find_glibc", lambda: SimpleNamespace(mallopt=lambda *a: calls.append(a), **REFUSING)
    )
    with tg.no_grad():
        for size, expected in [((1 << 15) - 16, 0), (1 << 15, 2), (1 << 15, 2)]:
            RESULTS[name](size)
            assert len(calls) == expected


@on_glibc
def test_a_large_result_with_numba_keeps_freed_memory(monkeypatch):
    pytest.importorskip("numba")
    from tinygrad_cnn.extra.numba import attached

    before, calls = attached.is_attached(), []
    monkeypatch.setattr(allocator, "_decided", False)
    monkeypatch.setattr(
        allocator, "find_glibc", lambda: SimpleNamespace(mallopt=lambda *a: calls.append(a), **REFUSING)
    )
    tg.use_numba()
    try:
        tg.conv2d(np.ones((1, 128, 15, 16), "f"), np.ones((128, 128, 3, 3), "f"), padding=1)
        assert not calls
        tg.conv2d(np.ones((1, 128, 16, 16), "f"), np.ones((128, 128, 3, 3), "f"), padding=1)
        assert calls
    finally:
        tg.use_numba(before)


@on_glibc
def test_the_number_of_bytes_in_the_environment(monkeypatch):
    calls = {}
    monkeypatch.setattr(allocator, "find_glibc", lambda: SimpleNamespace(mallopt=calls.__setitem__, **REFUSING))
    monkeypatch.setattr(allocator, "_decided", False)
    monkeypatch.setenv(VARIABLE, "12345")
    allocator.keep_by_default()
    assert calls == {allocator.TRIM_THRESHOLD: 12345, allocator.MMAP_MAX: 0}


def test_a_senseless_environment_is_refused(monkeypatch):
    monkeypatch.setattr(allocator, "_decided", False)
    monkeypatch.setenv(VARIABLE, "yes")
    with pytest.raises(ValueError, match=f"{VARIABLE} is 'yes'; it must be a number of bytes"):
        allocator.keep_by_default()


@pytest.mark.parametrize("library", [SimpleNamespace(), OSError, TypeError])
def test_without_glibc_nothing_happens(monkeypatch, library):
    def load(name):
        if isinstance(library, type):
            raise library
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(allocator, "find_glibc", find_glibc.__wrapped__)
    assert allocator.find_glibc() is None
    tg.keep_freed_memory()
    tg.keep_freed_memory(0)


@pytest.mark.parametrize(
    ("nbytes", "error", "rule"),
    [(1.5, TypeError, "an integer"), (-1, ValueError, "from 0"), (MOST + 1, ValueError, "from 0")],
)
def test_sizes_out_of_range_are_refused(nbytes, error, rule):
    with pytest.raises(error, match=rf"keep_freed_memory: `nbytes` is {nbytes}; .*{rule}"):
        tg.keep_freed_memory(nbytes)
