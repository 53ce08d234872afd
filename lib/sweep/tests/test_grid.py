"""A grid's cells, and the jobs that measure each arm of them once."""

from pathlib import Path

import pytest

from lib.sweep.grid import Workers, read
from lib.sweep.jobs import jobs_of, typed

pytestmark = pytest.mark.cpu


@pytest.fixture
def grid(tmp_path):
    """Reads a grid from its text."""

    def make(text):
        path = tmp_path / "grid.toml"
        path.write_text(text)
        return read(path)

    return make


@pytest.fixture
def checkpoints(tmp_path):
    for step in (500, 1000, 20):
        (tmp_path / "run" / f"checkpoint-{step}").mkdir(parents=True)
    return tmp_path / "run" / "checkpoint-*"


def test_one_value_of_everything_is_one_cell(grid):
    found = grid('rope = "org/model"\nmax_tokens = 64\nclaims = "Q1"')
    (cell,) = found.cells
    assert (cell.name, found.out, found.workers) == ("run", Path("sweep"), Workers())
    assert typed(cell.options) == ("--rope=org/model", "--max-tokens=64", "--claims=Q1")


def test_lists_make_a_grid_whose_cells_are_called_by_what_differs(grid):
    found = grid('rope = ["a/one", "a/two"]\ndtype = ["float32", "bfloat16"]\nthreshold = [4, 5.5]\nclaims = "Q1"')
    assert len(found.cells) == 8
    assert [cell.name for cell in found.cells[:3]] == [
        "one, dtype=float32, threshold=4",
        "one, dtype=float32, threshold=5.5",
        "one, dtype=bfloat16, threshold=4",
    ]
    assert typed(found.cells[3].options) == ("--rope=a/one,dtype=bfloat16", "--threshold=5.5", "--claims=Q1")


def test_every_checkpoint_of_a_pattern_is_a_cell_in_the_order_of_its_number(grid, checkpoints):
    found = grid(f'rope = "org/model"\neach = "{checkpoints}"')
    assert [cell.name for cell in found.cells] == ["checkpoint-20", "checkpoint-500", "checkpoint-1000"]


def test_checkpoints_with_the_same_number_are_called_by_the_folders_that_tell_them_apart(grid):
    names = [cell.name for cell in grid('rope = "m"\ndrope = ["a/checkpoint-1", "b/checkpoint-1", "b/last"]').cells]
    assert names == ["a/checkpoint-1", "b/checkpoint-1", "b/last"]
    names = [cell.name for cell in grid('rope = "m"\ndrope = ["x/a/c-1/run", "x/b/c-1/run", "run"]').cells]
    assert names == ["a/c-1/run", "b/c-1/run", "run"]


def test_a_checkpoint_that_fits_two_patterns_is_one_cell(grid, checkpoints):
    found = grid(f'rope = "org/model"\neach = ["{checkpoints}", "{checkpoints.parent}/*-20"]')
    assert [cell.name for cell in found.cells] == ["checkpoint-20", "checkpoint-500", "checkpoint-1000"]


def test_a_control_is_measured_by_one_job_and_each_treatment_by_one_after_it(grid, checkpoints):
    jobs = jobs_of(grid(f'rope = ["a", "b"]\neach = "{checkpoints}"\nclaims = "Q1"').cells)
    controls = [job for job in jobs if job.after is None]
    assert (len(controls), len(jobs)) == (2, 8)
    assert {job.after for job in jobs[2:]} == {job.name for job in controls}
    for job in jobs:
        (run,) = job.runs
        assert run[-1] == ("--measure=control" if job in controls else "--measure=treatment")
        assert any(option.startswith("--drope=") for option in run)
    assert len({job.name for job in jobs}) == 8


def test_cells_that_share_norms_are_measured_by_one_worker_in_turn(grid):
    jobs = jobs_of(grid('rope = "a"\ndrope = "b"\nthreshold = [4, 5]\nclaims = ["Q1", "D1"]').cells)
    assert [len(job.runs) for job in jobs] == [4, 4]
    assert len({run for job in jobs for run in job.runs}) == 8


def test_a_model_alone_has_no_treatment_and_a_pair_may_bring_one(grid):
    assert [job.after is None for job in jobs_of(grid('rope = "a"').cells)] == [True]
    assert [job.after is None for job in jobs_of(grid('pair = "toy"').cells)] == [True, False]


def test_a_switch_is_typed_where_it_is_on(grid):
    on, off = grid('rope = "a"\napply_chat_template = [true, false]').cells
    assert typed(on.options) == ("--rope=a", "--apply-chat-template")
    assert typed(off.options) == ("--rope=a",)


def test_workers_may_ask_for_gpus(grid):
    workers = grid('rope = "a"\n[workers]\ncpus = 4\ngpus = 0.5\naddress = "auto"').workers
    assert workers == Workers(4, 0.5, "auto")


def test_runs_of_training_are_cells_with_models_of_their_own_that_are_judged_together(grid):
    found = grid(
        'threshold = 4\n[[runs]]\nname = "seed 0"\nrope = "a/rope"\ndrope = "a/drope/*"\ncontinued = "a/more"\n'
        '[[runs]]\nrope = "b/rope"\ndrope = "b/drope/*"\n'
    )
    assert found.of_training
    assert [cell.name for cell in found.cells] == ["seed 0", "run 2"]
    first, second = ({**cell.options} for cell in found.cells)
    assert first == {"rope": "a/rope", "drope": "a/drope/*", "continued": "a/more", "threshold": "4"}
    assert second == {"rope": "b/rope", "drope": "b/drope/*", "threshold": "4"}
    assert len(jobs_of(found.cells)) == 4
    assert not grid('rope = "a"').of_training


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rope = ", "is no TOML: "),
        ('drope = "a"', "names no model: give rope = ARGUMENTS or pair = NAME"),
        ('rope = "a"\nclaim = "Q1"', "a grid has no 'claim', .*claims"),
        ('rope = "a"\nreplay = true', "a grid has no 'replay'"),
        ('rope = "a"\nbaseline = "x.json"', "a grid has no 'baseline'"),
        ('rope = "a"\nmeasure = "control"', "a grid has no 'measure'"),
        ('rope = "a"\ndrope = "b"\neach = "c-*"', "each and drope exclude each other"),
        ('pair = "toy"\ndtype = "bfloat16"', "dtype is added to model arguments"),
        ('rope = "a"\nthreshold = []', r"threshold must be a value or a list of values, not \[\]"),
        ('rope = "a"\nthreshold = [[4]]', "threshold must be a value or a list of values"),
        ('rope = "a"\nclaims = " "', "claims must be a value or a list of values, not ' '"),
        ('rope = "a"\nthreshold = [4, 4]', "threshold has the same value twice"),
        ('rope = "a"\ndrope = ["b/c", "b/c/"]', "drope has the same value twice"),
        ('rope = "a"\neach = "/nowhere/checkpoint-*"', "no folder fits '/nowhere/checkpoint-"),
        ('rope = "a"\n[[runs]]\nrope = "b"\ndrope = "c"', "runs and rope exclude each other: each run names its own"),
        ('threshold = [4, 5]\n[[runs]]\nrope = "b"\ndrope = "c"', "runs and a list of threshold exclude each other"),
        ('[[runs]]\nrope = "b"', "run 1 needs rope and drope"),
        ('[[runs]]\nrope = "b"\ndrope = ["c", "d"]', "run 1 has several values of drope"),
        ('[[runs]]\nrope = "b"\ndrop = "c"', r"\[\[runs\]\] has no 'drop', did you mean 'drope'"),
        ('[[runs]]\nname = "a"\nrope = "b"\ndrope = "c"\n' * 2, "two runs have the same name"),
        ('runs = "seeds"', r"runs are tables: write \[\[runs\]\]"),
        ('rope = "a"\nout = 3', "out must be a text, not 3"),
        ('rope = "a"\nworkers = 3', "workers is a table"),
        ('rope = "a"\n[workers]\ncpu = 3', r"\[workers\] has no 'cpu', .*cpus"),
        ('rope = "a"\n[workers]\ncpus = 0', "cpus must be a whole number from 1, not 0"),
        ('rope = "a"\n[workers]\ngpus = -1', "gpus must be a number from 0, not -1"),
        ('rope = "a"\n[workers]\ngpus = true', "gpus must be a number from 0, not True"),
        ('rope = "a"\n[workers]\naddress = 1', "address must be a text, not 1"),
    ],
)
def test_a_grid_that_is_none_gets_one_sentence(grid, text, sentence):
    with pytest.raises(ValueError, match=rf"^\S*grid.toml.*{sentence}"):
        grid(text)


def test_a_grid_that_is_not_there_gets_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"none.toml cannot be read: No such file"):
        read(tmp_path / "none.toml")
