"""The bits of any number of ranks: whole programs, started as a user starts them."""

from __future__ import annotations

import pytest

from .common import ROOT, Job, finished, needs_mpi

pytestmark = needs_mpi
EXAMPLE = str(ROOT / "examples" / "train_distributed.py")
QUICK = ("--quick", "--epochs", "2", "--shards", "8", "--seed", "0", "--batch-size", "48", "--augment")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The bytes of the checkpoint that one process writes."""
    folder = tmp_path_factory.mktemp("reference")
    finished(folder, 1, EXAMPLE, *QUICK, "--checkpoint", "out.npz")
    return (folder / "out.npz").read_bytes()


@pytest.mark.parametrize(
    ("ranks", "options"),
    [
        (1, ("--compile", "--threads", "2")),
        (2, ("--threads", "1")),
        (2, ("--compile", "--threads", "2")),
        (3, ("--compile",)),
        (4, ()),
        (4, ("--compile", "--threads", "1")),
        (8, ("--threads", "1")),
    ],
)
def test_the_checkpoint_has_the_same_bytes(tmp_path, reference, ranks, options):
    output = finished(tmp_path, ranks, EXAMPLE, *QUICK, "--checkpoint", "out.npz", *options)
    assert (tmp_path / "out.npz").read_bytes() == reference
    assert f"processes: {ranks}" in output
    assert output.count("epoch 2/2") == 1, "only rank 0 shows how it goes"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.npz", "output.txt"]


@pytest.mark.parametrize(("before", "after"), [(4, 1), (1, 3), (2, 4)])
def test_a_run_that_is_killed_resumes_on_another_number_of_ranks(tmp_path, before, after):
    longer = (*QUICK, "--epochs", "6", "--checkpoint")
    finished(tmp_path, 1, EXAMPLE, *longer, "whole.npz")
    job = Job(tmp_path, before, EXAMPLE, *longer, "killed.npz", "--compile")
    job.wait_for(tmp_path / "killed.npz")
    job.kill(rank=before - 1)
    finished(tmp_path, after, EXAMPLE, *longer, "killed.npz", "--resume", "killed.npz")
    assert (tmp_path / "killed.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


COUNT = 12


@pytest.fixture(scope="module")
def random_models(tmp_path_factory):
    """What one process gets for random models."""
    folder = tmp_path_factory.mktemp("random")
    finished(folder, 1, "random_models.py", 0, COUNT)
    return (folder / "rank0.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_random_models_have_the_same_state_on_every_rank(tmp_path, random_models, ranks):
    """Every optimizer, with normalizations, dropout, clipping, averages, schedules, augmentation, odd batches."""
    assert len(random_models.splitlines()) == COUNT
    finished(tmp_path, ranks, "random_models.py", 0, COUNT)
    for rank in range(ranks):
        assert (tmp_path / f"rank{rank}.txt").read_text(encoding="utf-8") == random_models


def test_a_loop_of_ones_own(tmp_path):
    results = {}
    for ranks in (1, 2, 4):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        finished(folder, ranks, "loop.py")
        lines = [(folder / f"rank{rank}.txt").read_text(encoding="utf-8").splitlines() for rank in range(ranks)]
        results |= {(ranks, rank): result for rank, (result, _) in enumerate(lines)}
        read = [int(count) for _, count in lines]
        assert sum(read) == 200, "each example of two epochs is read once, by one rank"
    assert len(set(results.values())) == 1


def test_more_ranks_than_shards(tmp_path):
    code, output = Job(tmp_path, 3, EXAMPLE, "--quick", "--shards", "2").end()
    assert code != 0
    assert "World: there are 3 ranks for 2 shards, so some would have no shard; start 2 at most" in output


def test_a_launcher_of_another_library(tmp_path):
    """It tells this process that there are two, and mpi4py finds one."""
    (tmp_path / "train.py").write_text(
        "import warnings, tinygrad_cnn as tg\n"
        "warnings.simplefilter('ignore')  # mpi4py warns of some of these cases\n"
        "tg.distributed.World(4)",
        encoding="utf-8",
    )
    job = Job(tmp_path, 1, str(tmp_path / "train.py"), environment={"OMPI_COMM_WORLD_SIZE": "2"})
    code, output = job.end()
    assert code != 0
    assert "RuntimeError: World: the launcher started 2 processes, but MPI counts one" in output


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("version", "rank 1: tinygrad_cnn is 9.9; on rank 0 it is"),
        ("dtype", "rank 1: the default dtype is float64; on rank 0 it is float32"),
        ("model", "rank 1: `model.1.bias` is absent; on rank 0 it is float32 (10,)"),
        ("length", "rank 1: the length of `loader`'s data is 90; on rank 0 it is 100"),
        ("loader", "rank 1: seed of `loader` is 5; on rank 0 it is 0"),
        ("seed", "rank 1: seed is 9; on rank 0 it is 3"),
        ("shards", "rank 1: shards is 5; on rank 0 it is 4"),
        ("metrics", "rank 1: `metrics` is f1; on rank 0 it is accuracy"),
        ("weights", "rank 1: `class_weight` is {1: 3.0}; on rank 0 it is {1: 2.0}"),
        ("batches", "rank 1 has other batches than rank 0 at step 1; give every rank the same ones"),
        ("validation", "rank 1 has other batches than rank 0 at the validation after step 10; give every rank"),
        ("shorter", "rank 1 has other batches than rank 0 at the validation after step 10; give every rank"),
        ("random", "rank 1: the random state (call tg.manual_seed with the same seed on every rank) is"),
    ],
)
def test_ranks_that_disagree(tmp_path, what, message):
    code, output = Job(tmp_path, 2, "disagree.py", what).end()
    assert code != 0
    assert message in output


def test_gradients_that_travel_early_have_the_same_bits(tmp_path):
    """Weights that are used twice, or in some shards, hooks, checkpoints, gradients within, as written and compiled."""
    results = set()
    for ranks in (1, 2, 3):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        finished(folder, ranks, "early.py")
        results |= {(folder / f"rank{rank}.txt").read_text(encoding="utf-8") for rank in range(ranks)}
    assert len(results) == 1


def test_many_worlds(tmp_path):
    """More than MPI has communicators, as in a search over hyperparameters; the first is used between the others."""
    finished(tmp_path, 3, "many.py")
    assert {(tmp_path / f"rank{rank}.txt").read_text(encoding="utf-8") for rank in range(3)} == {"15000.0"}
