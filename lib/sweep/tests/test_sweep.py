"""Whole sweeps of tiny checkpoints: on a local cluster of Ray with a worker and the driver killed, and without Ray."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fixtures.models.tiny import plant, save, tiny_llama
from lib.models.drope import drop_rope
from lib.records import files
from lib.sweep.engines import ROOT

pytestmark = [pytest.mark.cpu, pytest.mark.slow]
FEW, MANY = 2, 6


@pytest.fixture
def home(request, tmp_path):
    """A grid of some tiny checkpoints, a RoPE arm, and texts."""
    model = tiny_llama()
    plant(model, "query", 1, 0, 3)
    save(model, tmp_path / "rope")
    for step in range(1, getattr(request, "param", FEW) + 1):
        save(drop_rope(tiny_llama(seed=step)), tmp_path / "run" / f"checkpoint-{step}")
    lines = [
        {"text": f"{role} {kind} {i} " + "abcdefgh " * (5 + i), "kind": kind, "role": role}
        for role in ("count", "score")
        for kind in ("plain", "odd")
        for i in range(3)
    ]
    (tmp_path / "texts.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    (tmp_path / "grid.toml").write_text(
        'rope = "rope"\neach = "run/checkpoint-*"\ntexts = "texts.jsonl"\nmax_tokens = 32\ndevice = "cpu"\n'
        'claims = "Q1,D1"\ncontrols = 2\nrecords = "records"\nout = "out"\n'
    )
    return tmp_path


def start(home, *options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-m", "lib.sweep", "grid.toml", *options]
    return subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process):
    output, _ = process.communicate(timeout=1800)
    assert "Traceback" not in output, output
    return process.returncode, output


def kept(home):
    """The records and when they were written."""
    found = files.paths_in(home / "records") if (home / "records").is_dir() else []
    return {path.name: path.stat().st_mtime_ns for path in found}


def wait_for(what, process, seconds=900):
    for _ in range(seconds * 10):
        if found := what():
            return found
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    raise AssertionError("nothing came")


def measuring(home):
    """Processes of the harness that measure, with the workers of Ray above them."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if process.info["cwd"] == str(home) and "--measure=treatment" in words:
            found.append(process)
    return found


def is_whole(home, before, checkpoints):
    """All checkpoints have one record of each experiment, and no record that was there was measured again."""
    after = kept(home)
    assert {name: after[name] for name in before} == before
    settings = [files.settings_of(files.load(home / "records" / name)) for name in after]
    for experiment in ("norms", "disruption"):
        of_experiment = [s["identity"] for s in settings if s["experiment"] == experiment and s["rope"] == "as it is"]
        assert len(of_experiment) == len(set(of_experiment)) == checkpoints + 1
    assert not list((home / "records").glob("*.parts"))
    documents = [json.loads(path.read_text()) for path in (home / "out").glob("checkpoint-*.json")]
    assert len(documents) == checkpoints
    assert {entry["id"] for document in documents for entry in document["claims"]} == {"Q1", "D1[rope]", "D1[drope]"}
    assert f"checkpoint-{checkpoints}" in (home / "out" / "compare.html").read_text()


@pytest.mark.parametrize("home", [MANY], indirect=True)
def test_killing_a_worker_and_the_driver_loses_nothing_and_measures_nothing_twice(home):
    first = start(home)
    (process, *_) = wait_for(lambda: measuring(home), first)
    worker = process.parent()
    assert "ray::" in " ".join(worker.cmdline())
    worker.send_signal(signal.SIGKILL)
    before = wait_for(lambda: kept(home) if len(kept(home)) >= 6 else None, first)
    first.kill()
    first.wait()
    first.stdout.close()
    for left in wait_until_gone(home):
        raise AssertionError(f"{left} lives on")

    before = kept(home)
    assert len(before) >= 6
    code, output = finish(start(home))
    assert code == 0, output
    is_whole(home, before, MANY)


def wait_until_gone(home):
    for _ in range(300):
        if not (left := measuring(home)):
            return []
        time.sleep(0.1)
    return left


def test_without_ray_the_same_command_makes_one_task_after_the_other(home):
    code, output = finish(start(home, "--in-order"))
    assert code == 0, output
    is_whole(home, {}, FEW)


def test_a_checkpoint_that_cannot_be_measured_costs_no_other(home):
    weights = Path(home, "run", "checkpoint-1", "model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    code, output = finish(start(home, "--in-order"))
    assert code == 1
    assert "checkpoint-1:" in output
    stopped, judged = (json.loads((home / "out" / f"checkpoint-{step}.json").read_text()) for step in (1, 2))
    assert stopped["stopped"]
    assert (len(stopped["claims"]), len(judged["claims"])) == (0, 3)


def test_runs_of_one_recipe_are_judged_together_with_the_run_as_the_unit(home):
    for seed in range(3):
        model = tiny_llama(seed=10 + seed)
        for dim in range(3 + seed):
            plant(model, "query", 1, 0, dim)
        save(model, home / f"seed{seed}" / "rope")
        save(drop_rope(tiny_llama(seed=20 + seed)), home / f"seed{seed}" / "checkpoint-9")
        save(tiny_llama(seed=30 + seed), home / f"seed{seed}" / "continued" / "checkpoint-9")
    shared = "".join(
        line + "\n" for line in (home / "grid.toml").read_text().splitlines() if not line.startswith(("rope", "each"))
    )
    runs = "".join(
        f'[[runs]]\nname = "seed {seed}"\nrope = "seed{seed}/rope"\ndrope = "seed{seed}/checkpoint-9"\n'
        f'continued = "seed{seed}/continued/checkpoint-9"\n'
        for seed in range(3)
    )
    (home / "grid.toml").write_text(shared.replace("Q1,D1", "Q1,R3") + runs)
    code, output = finish(start(home, "--in-order"))
    assert code == 0, output
    assert "Q1, over runs: " in output
    assert "<h2>Over runs of training</h2>" in (home / "out" / "compare.html").read_text()
    documents = [json.loads(path.read_text()) for path in (home / "out").glob("seed_*.json")]
    assert [[entry["id"] for entry in document["claims"]] for document in documents] == [["Q1", "R3"]] * 3
    assert not [entry for document in documents for entry in document["claims"] if entry["verdict"] == "error"]
