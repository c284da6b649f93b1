"""Run the tests of packages that use HIPS/autograd, and its own, on the drop-in: each must pass, or be listed with a reason.

``python tests/dependents/run.py [NAME ...] [--hips] [--whole]`` fetches the sources from PyPI, and needs their requirements
(``--requirements`` prints them). With ``--hips`` the tests run on HIPS/autograd too, for a comparison of results and times.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Suite:
    """The tests in the source distribution of a package.

    Attributes:
        version: on PyPI.
        tests: files and folders; `part` are arguments that choose those that run without ``--whole``.
        options: arguments of pytest.
        path: the folder of the package.
        requirements: what the package and its tests import, besides pytest, NumPy and SciPy.
        absent: the tests that fail here and pass on HIPS/autograd, with the reason.
    """

    version: str
    tests: Sequence[str]
    part: Sequence[str] = ()
    options: Sequence[str] = ()
    path: str = "."
    requirements: Sequence[str] = ()
    absent: Mapping[str, str] = field(default_factory=dict)


SUITES = {
    "autograd": Suite(
        "1.9.1",
        ["tests"],
        absent={
            "tests.test_fft.test_rfftn_odd_not_implemented": "an odd number of points has its gradient, too",
            "tests.test_graphs.test_assignment_raises_error": "the error is a RuntimeError, and says what to do",
            "tests.test_linalg.test_pinv": "calls np.linalg._dot, which is private",
            "tests.test_misc.test_const_graph": "const_graph(f) is f",
            "tests.test_misc.test_const_graph_args": "const_graph(f) is f",
            "tests.test_numpy.test_cast_to_int": "np.int64(x) is an error that says what to do",
            "tests.test_systematic.test_max": "complex numbers have an order in NumPy alone; the error says what to do",
            "tests.test_systematic.test_min": "complex numbers have an order in NumPy alone; the error says what to do",
            "tests.test_systematic.test_real_ic": "values would decide the dtype of real_if_close",
            "tests.test_wrappers.test_deprecated_defgrad_wrapper": "f.defgrad was deprecated in 2017",
            "tests.test_wrappers.test_deprecated_defvjp_is_zero_wrapper": "f.defvjp_is_zero was deprecated in 2017",
            "tests.test_wrappers.test_deprecated_defvjp_wrapper": "f.defvjp was deprecated in 2017",
            "tests.test_wrappers.test_wrapped_name_and_docs": "compares the words of a docstring",
        },
    ),
    "pymanopt": Suite(
        "2.2.1",
        ["tests"],
        options=[
            "--noconftest",
            *(f"--ignore=tests/backends/test_{name}.py" for name in ("jax", "pytorch", "tensorflow")),
            "--ignore=tests/test_problem.py",  # of TensorFlow
            "--ignore=tests/test_examples.py",  # of all backends
        ],
        path="src",
        requirements=["matplotlib"],
    ),
}


def fetched(name: str, suite: Suite, folder: Path) -> Path:
    """The unpacked source distribution."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-binary",
        ":all:",
        f"{name}=={suite.version}",
    ]
    subprocess.run([*command, "-d", folder], check=True)
    found = next(folder.glob(f"{name}-*.tar.gz"))
    with tarfile.open(found) as archive:
        archive.extractall(folder, filter="data")
    return Path(str(found).removesuffix(".tar.gz"))


def outcomes(suite: Suite, source: Path, hips: bool, whole: bool) -> tuple[dict[str, tuple[str, str]], float]:
    """By test the outcome, "passed", "failed" or "skipped", and the message; and the time that the tests took."""
    report = source / f"{'hips' if hips else 'ours'}.xml"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(source / suite.path), str(HERE), *([] if hips else [str(ROOT)])]),
        "MPLBACKEND": "Agg",
        "OPENBLAS_NUM_THREADS": "1",
    }
    run = ["-m", "pytest"] if hips else ["-m", "tinygrad_cnn.extra.autograd", "-m", "pytest"]
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "seeds",
        "-c",
        os.devnull,
        "--rootdir",
        str(source),
        f"--junitxml={report}",
    ]
    chosen = [*suite.tests, *suite.options, *([] if whole else suite.part)]
    done = subprocess.run(
        [sys.executable, *run, *options, *chosen],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if not report.exists() or done.returncode not in (0, 1):
        raise RuntimeError(f"the tests did not run:\n{done.stdout[-5000:]}\n{done.stderr[-2000:]}")
    found: dict[str, tuple[str, str]] = {}
    repeated: Counter[str] = Counter()
    seconds = 0.0
    for case in ElementTree.parse(report).iter("testcase"):
        key = f"{case.get('classname')}.{case.get('name')}".split("[")[0]  # parameters may be random numbers
        repeated[key] += 1
        failure = next((part for part in case if part.tag in ("failure", "error")), None)
        skipped = any(part.tag == "skipped" for part in case)
        message = "" if failure is None else " ".join(failure.get("message", "").split())[:300]
        outcome = "failed" if failure is not None else "skipped" if skipped else "passed"
        found[key if repeated[key] == 1 else f"{key}[{repeated[key]}]"] = outcome, message
        seconds += float(case.get("time", 0))
    return found, seconds


def judged(name: str, suite: Suite, folder: Path, hips: bool, whole: bool) -> int:
    """Run a suite, print a line on it, and the tests that are not as they should be; their number."""
    started = time.perf_counter()
    source = fetched(name, suite, folder)
    found, seconds = outcomes(suite, source, False, whole)
    count = Counter(outcome for outcome, _ in found.values())
    failed = {test: message for test, (outcome, message) in found.items() if outcome == "failed"}
    known = failed.keys() & suite.absent.keys()
    line = f"{name} {suite.version}: {count['passed']} passed here in {seconds:.0f} s, {len(known)} need what is absent"
    wrong = {test: message for test, message in failed.items() if test not in known}
    if hips:
        theirs, their_seconds = outcomes(suite, source, True, whole)
        their_count = Counter(outcome for outcome, _ in theirs.values())
        line += f"; {their_count['passed']} on HIPS/autograd in {their_seconds:.0f} s"
        wrong = {test: message for test, message in wrong.items() if theirs.get(test, ("failed", ""))[0] == "passed"}
    print(f"{line} ({time.perf_counter() - started:.0f} s in all)")
    for test, message in sorted(wrong.items()):
        print(f"  FAILED {test}: {message}")
    unused = [test for test in suite.absent if found.get(test, ("failed", ""))[0] == "passed"]
    for test in unused:
        print(f"  {test} is listed as absent, and passes")
    return len(wrong) + len(unused)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SUITES)}; all by default")
    parser.add_argument("--hips", action="store_true", help="run the tests on HIPS/autograd too")
    parser.add_argument("--whole", action="store_true", help="run all tests instead of a part of long suites")
    parser.add_argument("--requirements", action="store_true", help="print the packages that the suites need")
    arguments = parser.parse_args()
    names = arguments.names or list(SUITES)
    if arguments.requirements:
        theirs = f"autograd=={SUITES['autograd'].version}"
        print(theirs, *sorted({each for name in names for each in SUITES[name].requirements}), sep="\n")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        wrong = sum(judged(name, SUITES[name], Path(folder), arguments.hips, arguments.whole) for name in names)
    print(f"{wrong} tests are not as expected")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
