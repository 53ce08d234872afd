import json

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.recalibrate.generating import saveable

pytestmark = pytest.mark.cpu

examples = settings(deadline=None, max_examples=200, derandomize=True, database=None)
NAMES = ("do_sample", "temperature", "top_p", "top_k", "num_beams", "num_return_sequences", "early_stopping")
NAMES += ("eos_token_id", "pad_token_id", "max_new_tokens", "cache_implementation", "use_cache", "output_scores")


@pytest.fixture
def config(tmp_path):
    """The config of generating that transformers makes of a file, changed as a trainer does."""

    def load(content):
        (tmp_path / "generation_config.json").write_text(json.dumps(content))
        loaded = transformers.GenerationConfig.from_pretrained(tmp_path)
        loaded.bos_token_id = 0
        return loaded

    return load


def test_what_acts_on_nothing_is_left_out_and_all_else_is_kept(config, tmp_path):
    found = config({"do_sample": False, "temperature": 1e-6, "top_p": 0.5, "eos_token_id": [3, 7]})
    with pytest.raises(ValueError, match="temperature"):
        found.save_pretrained(tmp_path / "as it is")
    kept, left_out = saveable(found)
    assert left_out == {"temperature": 1e-6, "top_p": 0.5}
    kept.save_pretrained(tmp_path / "out")
    saved = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert saved["eos_token_id"] == [3, 7]
    assert saved["do_sample"] is False
    assert saved["bos_token_id"] == 0
    assert not {"temperature", "top_p"} & saved.keys()


@pytest.mark.parametrize(
    ("content", "left_out"),
    [
        ({"top_k": 3}, {"top_k": 3}),
        ({"output_scores": True}, {"output_scores": True}),
        ({"pad_token_id": -1}, {"pad_token_id": -1}),
        ({"temperature": 0.6, "top_p": 0.9, "do_sample": True}, {}),
        ({"num_beams": 4, "early_stopping": True}, {}),
    ],
)
def test_only_what_cannot_be_saved_beside_the_others_is_left_out(config, content, left_out):
    assert saveable(config(content))[1] == left_out


def test_a_config_that_can_be_saved_is_left_alone(config):
    found = config({"do_sample": True, "temperature": 0.6})
    assert saveable(found) == (found, {})


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.none() | st.booleans() | st.integers(-2, 5) | st.floats(-1, 2) | st.sampled_from(["never", "x", [3, 7], {}]),
    )
)
@examples
def test_any_settings_can_be_saved_after_it(tmp_path_factory, content):
    config = transformers.GenerationConfig()
    for name, value in content.items():
        setattr(config, name, value)
    kept, left_out = saveable(config)
    kept.save_pretrained(tmp_path_factory.mktemp("out"))
    assert left_out.keys() <= content.keys()
