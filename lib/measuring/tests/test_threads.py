import os

import pytest
import torch

from lib.checkpoints import ModelArguments
from lib.measuring import threads
from lib.measuring.arms import Arms

pytestmark = pytest.mark.cpu


@pytest.fixture(autouse=True)
def used(monkeypatch):
    """The numbers of threads that torch was told, without telling it."""
    told = []
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    return told


@pytest.fixture
def two_cores_of_two(tmp_path, monkeypatch):
    """A machine whose four logical cores are two physical ones."""
    for cpu, siblings in enumerate(("0-1", "0-1", "2-3", "2-3")):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(siblings)
    monkeypatch.setattr(threads, "CPUS", tmp_path)


@pytest.mark.parametrize(("allowed", "cores"), [({0, 1, 2, 3}, 2), ({0, 1}, 1), ({1, 2}, 2)])
def test_logical_cores_of_one_physical_core_count_once_if_they_may_be_used(
    two_cores_of_two, monkeypatch, allowed, cores
):
    monkeypatch.setattr(os, "sched_getaffinity", {0: allowed}.__getitem__, raising=False)  # 0 is this process
    assert threads.physical_cores() == cores


def test_a_number_comes_first_then_the_environment_then_the_cores(two_cores_of_two, monkeypatch, used):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    threads.use_threads(5)
    threads.use_threads()
    assert used == [5]
    monkeypatch.delenv("OMP_NUM_THREADS")
    threads.use_threads()
    assert used == [5, 2]


def test_where_cores_cannot_be_seen_the_number_stays_that_of_torch(tmp_path, monkeypatch, used):
    monkeypatch.setattr(threads, "CPUS", tmp_path / "nowhere")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads.use_threads()
    assert used == []


def test_the_threads_are_set_before_a_model_is_loaded(used):
    with pytest.raises(ValueError, match="nowhere"):
        Arms({"rope": ModelArguments("nowhere/at/all")}, "cpu", 3).get("rope")
    assert used == [3]
