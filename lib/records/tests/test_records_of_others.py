"""A record that somebody else made, with a right checksum, is a record as a run writes it or gets one sentence."""

import re
from contextlib import suppress

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.definitions.words import VERDICTS
from lib.effects import Answers, Bands, Disruption, MassiveValues, Modules, Sinks, Specificity, Stream
from lib.judging import NoSubject, assess
from lib.records import files, layout, opening, profile_of
from lib.records.opening import Misfit, opened
from lib.records.tests import written
from lib.records.tests.written import ORIGIN, RECORDS, SETTINGS, changed, tell

pytestmark = pytest.mark.cpu

SECRET = b"a secret of this machine. " * 400
OBJECTS = (None, True, 5, 1.5, "x", [], ["torch"], {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("others")
    (home / "secret").write_bytes(SECRET)
    with h5py.File(home / "other.h5", "w") as file:
        file["nll"] = np.zeros(3)
    return home


@pytest.fixture(scope="module")
def as_written(folder):
    """The path and the bytes of a record of each experiment."""
    return {experiment: (path := written.write(folder, experiment), path.read_bytes()) for experiment in RECORDS}


def replaced(file, name, make):
    del file[name]
    make(file)


def external_bytes(file):
    where = [(file.filename.rpartition("/")[0] + "/secret", 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("nll", shape=(3,), dtype="f8", external=where)


def virtual(file):
    elsewhere = h5py.VirtualLayout(shape=(3,), dtype="f8")
    elsewhere[:] = h5py.VirtualSource(file.filename.rpartition("/")[0] + "/other.h5", "nll", shape=(3,))
    file.create_virtual_dataset("nll", elsewhere)


def as_object(file):
    file["nll"] = np.dtype("f8")


ELSEWHERE = {
    "bytes of another file": (external_bytes, "nll lies in another file"),
    "a virtual array": (virtual, "nll lies in another file"),
    "a link to another file": (
        lambda file: file.__setitem__("nll", h5py.ExternalLink("other.h5", "nll")),
        "nll is no array in the file itself",
    ),
    "a soft link": (lambda file: file.__setitem__("nll", h5py.SoftLink("/frequency")), "nll is no array in the file"),
    "a group": (lambda file: file.create_group("nll"), "nll is no array in the file itself"),
    "a type": (as_object, "nll is no array in the file itself"),
    "references": (
        lambda file: file.create_dataset("nll", data=[file.ref] * 3, dtype=h5py.ref_dtype),
        "nll holds neither numbers nor text",
    ),
    "an unknown filter": (
        lambda file: file.create_dataset("nll", data=np.zeros(3), compression="lzf"),
        "nll is packed in an unknown way",
    ),
    "far too many texts": (
        lambda file: file.create_dataset("nll", shape=(10**11,), chunks=(1,), dtype=h5py.string_dtype()),
        "nll is larger than anything that such a file can hold",
    ),
    "far too many numbers": (
        lambda file: file.create_dataset("nll", shape=(10**11,), chunks=(10**5,), compression="gzip", dtype="f8"),
        "nll is larger than anything that such a file can hold",
    ),
}


@pytest.mark.parametrize("what", ELSEWHERE)
def test_what_lies_elsewhere_or_is_not_there_is_never_read(folder, what):
    make, sentence = ELSEWHERE[what]
    path = written.write(folder)
    with changed(path) as file:
        replaced(file, "nll", make)
    with pytest.raises(files.BrokenRecord, match=f"is not as a run writes it: {sentence}"):
        files.search(folder, SETTINGS)


def test_one_long_text_many_times_is_more_than_a_file_can_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "DEFLATED", 20)
    path, times = tmp_path / "one.nc", 100
    with h5netcdf.File(path, "w") as netcdf:
        netcdf.dimensions = {"text": times}
        netcdf.create_variable("text", ("text",), h5py.string_dtype())
    with h5py.File(path, "r+") as file:
        file["text"][...] = np.array(["x" * 50_000, *"y" * (times - 1)], dtype=object)
        start = file["text"].id.get_offset()
    whole = bytearray(path.read_bytes())
    assert len(opened(bytes(whole))["text"]) == times
    whole[start : start + 16 * times] = whole[start : start + 16] * times  # every entry points to the first text
    with pytest.raises(Misfit, match="text is larger than anything"):
        opened(bytes(whole))


FORGED = {
    "no query_norm": (lambda file: file.__delitem__("query_norm"), "it has no query_norm"),
    "no frequency": (lambda file: file.__delitem__("frequency"), "it has no frequency"),
    "no losses": (lambda file: file.__delitem__("nll"), "it has no nll"),
    "one array more": (lambda file: file.__setitem__("more", 1.0), "it has an array more, which no run writes"),
    "a loss that overflows": (
        lambda file: file["nll"].__setitem__(0, 1e308),
        r"nll holds a number .* between -6.8\d*e",
    ),
    "a loss that is no number": (lambda file: file["nll"].__setitem__(0, np.nan), "nll holds a number that is not"),
    "a norm below zero": (lambda file: file["key_norm"].__setitem__((0, 0, 0, 0), -1), "key_norm holds a number that"),
    "infinite frequencies": (lambda file: file["frequency"].__setitem__(0, np.inf), "frequency holds a number that"),
    "provenance without facts": (lambda file: tell(file, "provenance", lambda _: {}), "says nothing about pretrained"),
    "provenance as a list": (
        lambda file: tell(file, "provenance", lambda _: []),
        "its provenance are no facts by name",
    ),
    "no provenance": (lambda file: file.attrs.__delitem__("provenance"), "it has no provenance"),
    "provenance in numbers": (lambda file: file.attrs.__setitem__("provenance", 5), "it has no provenance"),
    "no versions": (
        lambda file: tell(file, "provenance", lambda p: {**p, "versions": {}}),
        "its provenance says nothing about versions.torch",
    ),
    "settings of another": (
        lambda file: tell(file, "settings", lambda s: {**s, "tokens": 9}),
        "its settings are not those of its checksum",
    ),
    "unknown sites": (lambda file: file.attrs.__setitem__("sites", "moon"), "does not say at which sites"),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_no_run_writes_gets_a_sentence(tmp_path, what):
    change, sentence = FORGED[what]
    path = written.write(tmp_path)
    with changed(path) as file:
        change(file)
    with pytest.raises(files.BrokenRecord, match=f"{path} is not as a run writes it: .*{sentence}"):
        files.find(tmp_path, SETTINGS)


def test_libraries_that_a_record_does_not_know_are_no_fault(tmp_path):
    path = written.write(tmp_path)
    with changed(path) as file:
        tell(file, "provenance", lambda p: {**p, "versions": {**p["versions"], "abacus": "1"}})
    assert "scipy" not in files.provenance_of(files.find(tmp_path, SETTINGS))["versions"]


def test_conditions_are_those_of_the_experiment(tmp_path):
    path = written.write(tmp_path, "disruption")
    with changed(path) as file:
        file["condition"][1] = "control 0"
    with pytest.raises(files.BrokenRecord, match=r"its conditions are .*, and not .*'massive'"):
        files.load(path)


ANSWERS = {
    "an answer below the first choice": ("answer", 0, -1, "the answer of an item is none of its choices|answer holds"),
    "an answer behind the last choice": ("answer", 0, 4, "the answer of an item is none of its choices"),
    "one choice alone": ("choices", 0, 1, "the answer of an item is none of its choices|its likelihoods are not"),
    "more choices than the record has": ("choices", 0, 5, "the answer of an item is none of its choices"),
    "a choice less than it has likelihoods": ("choices", 0, 3, "its likelihoods are not those of each item's choices"),
    "a likelihood that is unknown": ("likelihood", (0, 0, 0), np.nan, "its likelihoods are not those of each item's"),
    "a likelihood above 1": ("likelihood", (0, 0, 0), 0.1, "likelihood holds a number"),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_answers_are_among_choices_that_have_a_likelihood_each(tmp_path, what):
    name, place, value, sentence = ANSWERS[what]
    path = written.write(tmp_path, "tasks")
    with changed(path) as file:
        file[name][place] = value
    with pytest.raises(files.BrokenRecord, match=sentence):
        files.load(path)


def attribute(file, draw):
    of = file[draw(st.sampled_from(sorted(file)))] if draw(st.booleans()) else file
    names = sorted(of.attrs)
    if not names:
        return
    name = draw(st.sampled_from(names))
    if draw(st.booleans()):
        del of.attrs[name]
    else:
        of.attrs[name] = draw(st.sampled_from((5, -1.5, "text", "days since 2000-01-01", np.array([0.0, np.nan]), b"")))


def facts(file, draw):
    name = draw(st.sampled_from(("settings", "provenance")))
    told = {**ORIGIN, **SETTINGS}
    fact, value = draw(st.sampled_from(sorted(told))), draw(st.sampled_from(OBJECTS))
    within = draw(st.booleans())
    tell(
        file,
        name,
        lambda t: {**t, fact: {**t[fact], "torch": value} if within and type(t.get(fact)) is dict else value},
    )


def array(file, draw):
    name = draw(st.sampled_from(sorted(file)))
    if draw(st.booleans()):
        file.move(name, draw(st.sampled_from(("nll", "text", "extra", "frequency_", "kind_"))) + "x")
    else:
        del file[name]


def number(file, draw):
    name = draw(st.sampled_from(sorted(name for name in file if file[name].dtype.kind in "fi")))
    values = np.array([0, 1, -1, 3, np.nan, np.inf, 1e38, 1e308, 1e-300])
    with np.errstate(over="ignore", invalid="ignore"):
        file[name][...] = np.array(draw(st.sampled_from(list(values)))).astype(file[name].dtype)


def dtype(file, draw):
    name = draw(st.sampled_from(sorted(file)))
    shape, kind = file[name].shape, draw(st.sampled_from(("f2", ">f4", "f8", "i8", "u1", "S3", "c16", "?")))
    del file[name]
    file.create_dataset(name, data=np.zeros(shape, dtype=kind))


def shape(file, draw):
    name = draw(st.sampled_from(sorted(file)))
    kind, shape = file[name].dtype, draw(st.sampled_from(((), (0,), (3,), (3, 1), (10**6, 10**6))))
    del file[name]
    file.create_dataset(name, shape=shape, dtype=kind, chunks=(1,) * len(shape) or None)


def judged(experiment, record):
    """What claims make of a record: every number is one, or the claim stays open."""
    if experiment == "norms":
        values = MassiveValues({"rope": record, "drope": record})
        assert profile_of(record).sizes["num_hidden_layers"] == 1
        found = [values.totals("rope", "query"), values.loss_change("drope")]
    elif experiment == "disruption":
        found = [Disruption({"rope": record}).massive("rope"), *percents(Disruption({"rope": record}))]
    elif experiment == "bands":
        found = [Bands({"rope": record}).nats("slow")]
    elif experiment == "tasks":
        answers = Answers({"rope": record})
        found = [answers.odds("rope", "massive"), answers.right("rope", "top"), answers.unparsed("rope", "baseline")]
    elif experiment == "stream":
        found = list(parts_of_a_stream(Stream({"rope": record})))
    elif experiment == "sinks":
        sinks = Sinks({"rope": record})
        assert sinks.chance("rope")
        found = [sinks.rate("rope", "texts"), *first_keys(sinks)]
    elif experiment == "modules":
        found = [Modules({"rope": record}).nats("rope", "mlp")]
    else:
        losses = Specificity({"rope": record})
        assert 0 <= losses.share("rope", "massive") <= 100
        found = [losses.nats("rope", "next", "mean"), losses.drawn("rope", "zero").mean(1)]
    for values in found:
        assert np.isfinite(values).all()
        assert assess(values).at_most(1.0).verdict in VERDICTS


def parts_of_a_stream(stream):
    """What claims ask of a stream, as far as it has it."""
    for ask in (
        lambda: stream.times_the_limits("rope"),
        lambda: stream.placed("rope"),
        lambda: stream.deviation("rope"),
        lambda: stream.shares("rope")[:, 1],
        lambda: stream.shares("rope", first=False)[:, 1],
        lambda: stream.lengths("rope", "query")[:, 1],
    ):
        with suppress(NoSubject):
            yield ask()


def first_keys(sinks):
    with suppress(NoSubject):
        yield sinks.norm_ratio("rope")


def percents(disruption):
    try:
        return list(disruption.percent_by_kind("rope").values())
    except NoSubject:
        return []


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
@given(st.data())
def test_a_changed_record_is_refused_in_one_sentence_or_judged(as_written, folder, data):
    experiment = data.draw(st.sampled_from(sorted(RECORDS)))
    path, whole = as_written[experiment]
    path.write_bytes(whole)
    try:
        with changed(path) as file:
            for change in data.draw(
                st.lists(st.sampled_from((attribute, facts, array, number, dtype, shape)), min_size=1, max_size=2)
            ):
                change(file, data.draw)
    except (KeyError, ValueError, TypeError):
        return  # not even HDF5 can write that
    try:
        record = files.find(folder, {**SETTINGS, "experiment": experiment})
    except files.BrokenRecord as error:
        told = str(error)
    else:
        told = ""
        judged(experiment, record)
    assert not told or re.fullmatch(
        f"the record {path} is not as a run writes it: .*; delete it and measure again", told
    )


def test_every_experiment_has_a_layout_and_the_planted_records_fit_it(tmp_path):
    assert set(layout.LAYOUT) == set(RECORDS)
    assert all(isinstance(files.load(written.write(tmp_path, name)), xr.Dataset) for name in RECORDS)
