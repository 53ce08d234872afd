"""A model whose configs are damaged is prepared for training, or refused with one sentence."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.models.tiny import save, tiny_llama
from lib.checkpoints import parse, read_config
from lib.recalibrate.options import Recalibration
from lib.recalibrate.run import prepare

pytestmark = pytest.mark.cpu

FILES = ("config.json", "generation_config.json")
small = st.none() | st.booleans() | st.integers(-2, 70) | st.floats(-2, 2) | st.sampled_from(["", "x", "nope"])
anything = small | st.lists(small, max_size=2) | st.dictionaries(st.sampled_from(["rope_type", "a"]), small, max_size=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = save(tiny_llama(layers=1, hidden_size=16, heads=1, kv_heads=1), tmp_path_factory.mktemp("model"))
    return folder, {name: (folder / name).read_text() for name in FILES}


def outcome(read):
    """What is read, or the sentence of the ValueError instead."""
    try:
        return read()
    except ValueError as error:
        return str(error)


@settings(deadline=None, max_examples=200, derandomize=True, database=None)
@given(st.data())
def test_a_config_with_any_value_replaced_is_loaded_or_gets_one_sentence(model, data):
    folder, written = model
    name = data.draw(st.sampled_from(FILES))
    content = json.loads(written[name])
    key = data.draw(st.sampled_from([*sorted(content), "do_sample", "temperature", "num_beams"]))
    content[key] = data.draw(anything)
    (folder / name).write_text(json.dumps(content))
    found = outcome(lambda: prepare(Recalibration(str(folder), ["t.jsonl"])))
    (folder / name).write_text(written[name])
    if isinstance(found, str):
        assert found.strip()
    else:
        assert len(found.model.model.layers) > 0
        found.model.generation_config.validate(strict=True)


@settings(deadline=None, max_examples=200, derandomize=True, database=None)
@given(st.integers(0, 900), st.integers(0, 12), st.text(max_size=3) | st.sampled_from('{}[]":,-01eN\\'))
def test_a_config_with_any_part_replaced_is_read_or_gets_one_sentence(model, start, length, put):
    folder, written = model
    text = written["config.json"]
    start %= len(text)
    (folder / "config.json").write_text(text[:start] + put + text[start + length :], encoding="utf-8")
    found = outcome(lambda: read_config(parse(str(folder))))
    (folder / "config.json").write_text(text)
    assert isinstance(found, dict) or "config.json" in found
