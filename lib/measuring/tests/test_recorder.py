"""What a recorder decides by itself: which records it wants, waits for and looks for. Whole runs of it are in
`fixtures/tests/measured`."""

from types import SimpleNamespace

import pytest
import xarray as xr
from filelock import FileLock

from lib.measuring import recorder as module
from lib.measuring.experiments import EXPERIMENTS
from lib.measuring.recorder import Recorder, cannot_be_made, check_manipulation
from lib.records import BrokenRecord, NoRecord, Unusable, code_version
from lib.records.layout import LAYOUT
from lib.tasks.items import Item, Task
from lib.texts.reading import Text

pytestmark = pytest.mark.cpu
ARGS = SimpleNamespace(
    **dict.fromkeys(("source", "name"), "here"),
    **dict.fromkeys(("rope", "tokenizer", "add_bos_token", "dtype", "attn_implementation")),
    quantization="none",
    portable=SimpleNamespace(source="here"),
)
STRETCHED = SimpleNamespace(**{**vars(ARGS), "rope": "linear:4"})


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    """A recorder of three arms whose weights nobody reads; `said` are the lines that it says."""
    found = object.__new__(Recorder)
    found.said = []
    found.settings = SimpleNamespace(
        arms={"rope": ARGS, "drope": ARGS, "linear": STRETCHED},
        checkpoints=("drope",),
        device="cpu",
        device_asked=False,
        records=tmp_path / "a" / "folder",
        replay=False,
        site="projection",
        key=lambda experiment: {},
        named=lambda experiment, site: experiment,
        site_of=lambda arm: "projection",
        essential=("rope",),
        measure=None,
        is_measured=lambda arm: True,
    )
    found.experiments, found.at_sites, found.taken = ("norms", "disruption"), ("norms@attention",), {}
    found.faults = {}
    found.texts = [Text("t", "a", "count", "one"), Text("u", "a", "score", "other")]
    found.progress = SimpleNamespace(say=found.said.append)
    monkeypatch.setattr(module, "identity", lambda args: "weights")
    monkeypatch.setattr(module, "numerics", lambda args, device: f"numbers of {device}")
    return found


@pytest.mark.parametrize(
    ("change", "noise", "sees"),
    [
        (0.011, 0.0, True),
        (0.01, 0.0, False),
        (0.005, 0.0, False),
        (0.105, 0.01, True),
        (0.1, 0.01, False),
        (0.095, 0.01, False),
    ],
)
def test_an_arm_sees_positions_if_it_moves_by_a_percent_and_by_ten_times_the_noise(change, noise, sees):
    record = {"position_change": change, "position_noise": noise}
    if sees:
        assert check_manipulation("rope", record) is None
    else:
        with pytest.raises(ValueError, match="it does not see positions"):
            check_manipulation("rope", record)


@pytest.mark.parametrize(
    ("adds_bos", "bos", "told"), [(False, 99, True), (True, 99, False), (False, None, False), (False, 100, False)]
)
def test_what_bos_would_save_is_told_of_a_tokenizer_that_has_one_and_does_not_add_it(
    recorder, monkeypatch, adds_bos, bos, told
):
    facts = {"adds_bos": adds_bos, "embedding": 100}
    monkeypatch.setattr(module, "embedding_rows", lambda model: 100)
    monkeypatch.setattr(module, "tokenizer_facts", lambda *given: facts)
    monkeypatch.setattr(module, "bos_id", lambda *given: bos)
    monkeypatch.setattr(module, "gain_of_bos", lambda *given: 0.5)
    loaded = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(get_text_config=dict)), tokenizer=None)
    assert recorder._facts("rope", loaded, None) == (facts | {"gain_of_bos": 0.5} if told else facts)


def test_a_record_is_wanted_of_its_rotation_and_losses_of_their_texts(recorder):
    plain, stretched = (recorder._wanted(arm, "norms", exact=True) for arm in ("rope", "linear"))
    assert (plain["rope"], stretched["rope"]) == ("as it is", "linear:4")
    assert "score_texts" not in plain
    losses = recorder._wanted("rope", "disruption", exact=True)
    assert losses["score_texts"] != losses["count_texts"] == plain["count_texts"]


def asked(recorder, knowledge, *names, most=None):
    """The recorder asks these items of one task."""
    items = [Item(name, f"{name}?", (" yes", " no"), number % 2) for number, name in enumerate(names)]
    recorder.tasks, recorder.settings.most_items = (Task("t", knowledge, "", "", tuple(items)),), most


def test_a_record_of_tasks_is_wanted_of_their_items_and_of_where_the_answers_are(recorder):
    wanted = []
    for given in (("contextual", "a", "b"), ("parametric", "a", "b"), ("contextual", "a", "c")):
        asked(recorder, *given)
        wanted.append(recorder._wanted("rope", "tasks", exact=True)["items"])
    asked(recorder, "contextual", "a", "b", most=1)
    wanted.append(recorder._wanted("rope", "tasks", exact=True)["items"])
    assert all(one != other for i, one in enumerate(wanted) for other in wanted[:i])


@pytest.mark.parametrize(("changed", "to"), [("item", ["t/a", "t/c"]), ("knowledge", ["parametric", "contextual"])])
def test_a_record_of_other_items_is_broken(recorder, changed, to):
    asked(recorder, "contextual", "a", "b")
    told = {"item": ["t/a", "t/b"], "knowledge": ("item", ["contextual"] * 2)}
    recorder._keep("rope", "tasks", good := xr.Dataset(coords=told))
    assert recorder.taken["rope", "tasks"] is good
    bad = xr.Dataset(coords={**told, changed: ("item", to)})
    bad.encoding["source"] = "a/record.nc"
    with pytest.raises(BrokenRecord, match=r"the record a/record\.nc is of other items than its settings say"):
        recorder._keep("rope", "tasks", bad)


@pytest.mark.parametrize("unknown", ["identity", "tokenizer"])
def test_weights_or_a_tokenizer_that_cannot_be_read_are_unknown_in_a_replay_alone(recorder, monkeypatch, unknown):
    def fails(given):
        raise ValueError("not there")

    recorder.settings.arms["rope"] = SimpleNamespace(**{**vars(ARGS), "tokenizer": "elsewhere"})
    monkeypatch.setattr(module, "tokenizer_identity", lambda name: "its tokens")
    monkeypatch.setattr(module, {"identity": "identity", "tokenizer": "tokenizer_identity"}[unknown], fails)
    assert recorder._wanted("rope", "norms", exact=False)[unknown] is None
    with pytest.raises(ValueError, match="not there"):
        recorder._wanted("rope", "norms", exact=True)


def test_a_run_says_that_it_waits_for_another_one_and_goes_on_after_it(recorder):
    recorder.settings.records.mkdir(parents=True)
    other = FileLock(recorder.settings.records / ".lock")
    recorder.progress = SimpleNamespace(say=lambda line: (recorder.said.append(line), other.release()))
    other.acquire()
    with recorder._alone():
        assert recorder.said == [f"waiting for another run that measures into {recorder.settings.records}"]


def test_a_run_that_is_alone_makes_its_folder_and_says_nothing(recorder):
    with recorder._alone():
        assert recorder.settings.records.is_dir()
    assert recorder.said == []


def test_an_experiment_at_a_site_that_an_arm_does_not_have_leaves_those_behind_it(recorder, monkeypatch):
    kept = []
    monkeypatch.setattr(module.records, "find", lambda folder, wanted: wanted)
    recorder._can_be_made = lambda arm, experiment: experiment != "norms@attention"
    recorder._keep = lambda arm, experiment, record: kept.append(experiment)
    recorder._find_or_take("rope", {"norms": {}, "norms@attention": {}, "disruption": {}})
    assert kept == ["norms", "disruption"]


@pytest.fixture
def reading_nothing(recorder, monkeypatch):
    """A recorder without records of a model whose stream cannot be read; `made` are the experiments that it makes."""
    recorder.made = []

    def take(arm, experiment, wanted):
        recorder.made.append(experiment)
        recorder.taken[arm, experiment] = xr.Dataset(attrs={"unreadable": '{"stream": "its stream cannot be read"}'})

    def nothing(folder, wanted):
        raise NoRecord("none")

    monkeypatch.setattr(module.records, "find", nothing)
    recorder._take = take
    recorder._wanted = lambda arm, experiment, exact: {}
    recorder.arms = SimpleNamespace(free=lambda: None)
    recorder.experiments, recorder.at_sites = ("norms", "stream", "modules", "sinks", "disruption"), ()
    recorder.settings.max_tokens = 64
    return recorder


@pytest.mark.parametrize("experiment", ["stream", "modules"])
def test_an_experiment_that_an_architecture_does_not_allow_costs_those_that_rest_on_it_alone(
    reading_nothing, experiment
):
    for _ in range(2):
        with pytest.raises(Unusable, match="its stream cannot be read") as caught:
            reading_nothing.record("rope", experiment)
        assert cannot_be_made(caught.value)
    assert reading_nothing.made == ["norms", "sinks", "disruption"]
    assert "unreadable" in reading_nothing.record("rope", "disruption").attrs
    assert reading_nothing.failures() == {}


def test_texts_that_are_too_short_for_an_experiment_are_told_before_a_model_is_loaded(reading_nothing):
    reading_nothing.settings.max_tokens = 63
    with pytest.raises(Unusable, match="sinks are measured on 64 tokens, and the texts have 63: raise --max-tokens"):
        reading_nothing.record("rope", "sinks")
    assert reading_nothing.made == []
    reading_nothing.record("rope", "disruption")
    assert reading_nothing.made == ["norms", "disruption"]


def test_an_arm_that_is_not_compared_is_asked_for_all_that_its_row_names_under_one_load(reading_nothing):
    reading_nothing.experiments = ("norms", "sinks", "disruption", "specificity")
    assert reading_nothing._asked_of("dropped") == ["sinks"]
    assert reading_nothing._asked_of("drope@step5") == []
    assert reading_nothing._asked_of("drope") == ["norms", "sinks", "disruption", "specificity"]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_comes_after_those_that_it_rests_on(experiment):
    after = EXPERIMENTS[experiment].after
    assert set(after) < set(EXPERIMENTS)
    assert all(set(EXPERIMENTS[earlier].after) <= set(after) for earlier in after)
    assert set(EXPERIMENTS) == set(LAYOUT)


def replaying(recorder, gives):
    """A replay along with an arm that finds this record, or raises this error; which records it then keeps."""
    kept = []

    def replay(arm, experiment):
        if isinstance(gives, Exception):
            raise gives from getattr(gives, "reason", None)
        return gives

    recorder._replay, recorder._keep = replay, lambda *given: kept.append(given)
    recorder._replay_along("rope")
    return kept


def test_a_replay_takes_what_there_is_of_other_sites(recorder):
    assert replaying(recorder, "a record") == [("rope", "norms@attention", "a record")]
    recorder.taken["rope", "norms@attention"] = "the same"
    assert replaying(recorder, "a record") == []


@pytest.mark.parametrize(("reason", "raised"), [(NoRecord("none"), False), (BrokenRecord("broken"), True)])
def test_a_record_of_another_site_may_be_missing_in_a_replay_and_may_not_be_broken(recorder, reason, raised):
    error = ValueError("no replay")
    error.reason = reason
    if raised:
        with pytest.raises(ValueError, match="no replay"):
            replaying(recorder, error)
    else:
        assert replaying(recorder, error) == []


@pytest.mark.parametrize(
    ("device", "gpu", "known"), [("cpu", False, True), ("cuda", False, False), ("cuda", True, True)]
)
def test_a_replay_without_its_gpu_takes_records_of_any_installation(recorder, monkeypatch, device, gpu, known):
    seen = []
    recorder.settings.device = device
    monkeypatch.setattr(module.torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(module.records, "search", lambda folder, wanted, here: seen.append(here))
    recorder._replay("rope", "norms")
    assert seen == [{"numerics": f"numbers of {device}" if known else None, "code": code_version()}]


@pytest.mark.parametrize(
    ("arm", "error", "asked"),
    [("linear", NoRecord, ["linear:4"]), ("linear", BrokenRecord, []), ("drope", NoRecord, [])],
)
def test_a_missing_record_of_a_rescaled_arm_may_be_of_one_that_cannot_be_made(recorder, monkeypatch, arm, error, asked):
    def fails(folder, wanted, here):
        raise error("no record")

    seen = []
    monkeypatch.setattr(module.records, "search", fails)
    recorder._check_rescaling = seen.append
    with pytest.raises(ValueError, match=f"--replay, {arm} arm .here.: no record"):
        recorder._replay(arm, "norms")
    assert seen == asked


@pytest.mark.parametrize(
    ("arm", "experiment", "expected"),
    [
        ("rope", "disruption", ["norms", "disruption", "norms@attention"]),
        ("rope", "norms@attention", ["norms", "disruption", "norms@attention"]),
        ("linear", "norms", ["norms"]),
        ("linear", "norms@projection", ["norms@projection"]),
    ],
)
def test_norms_at_the_site_of_the_run_come_first_unless_an_arm_is_read_elsewhere_alone(
    recorder, arm, experiment, expected
):
    measured = []
    recorder._measure_missing = lambda arm, experiments: measured.extend(experiments)
    recorder._take_all(arm, experiment)
    assert measured == expected
