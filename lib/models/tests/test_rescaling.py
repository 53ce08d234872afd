import json
import math

import pytest
import torch
import transformers

from fixtures.models import architectures
from fixtures.models.architectures import model_of
from fixtures.models.tiny import save, tiny_llama
from lib.definitions.words import RESCALED
from lib.models import loading
from lib.models.drope import drop_rope
from lib.models.rescaling import CannotRescale, check_rescaling, rescale
from lib.models.tests.test_drope import run
from lib.probing.rotation import position_response

pytestmark = pytest.mark.cpu

CONTEXT = 512
SIZED = {"vocab_size": 260, "hidden_size": 48, "max_position_embeddings": CONTEXT}
# rotary dims of a head, and the base of each type of layer
TURNING = {
    "llama": (12, {None: 100}),
    "qwen2": (12, {None: 100}),
    "mistral": (8, {None: 100}),
    "phi3": (12, {None: 100}),
    "gpt_neox": (6, {None: 100}),
    "gemma3_text": (8, {"sliding_attention": 100, "full_attention": 400}),
}


def config_of(name, **changes):
    return architectures.config_of(name, **{**SIZED, **changes})


def plain(theta, dim):
    """Radians per position of each pair: theta^(-2i/d)."""
    return torch.tensor([theta ** (-2 * i / dim) for i in range(dim // 2)], dtype=torch.float64)


def interpolated(theta, dim, factor, length):
    return plain(theta, dim) / factor


def ntk_aware(theta, dim, factor, length):
    return plain(theta * factor ** (dim / (dim - 2)), dim)


def dynamic_ntk(theta, dim, factor, length):
    return ntk_aware(theta, dim, max(1, factor * length / CONTEXT - (factor - 1)), length)


def by_parts(theta, dim, factor, length):
    """YaRN: where a pair turns alpha = 1 and beta = 32 times in the context, and a ramp over the pairs between."""
    turns_at = [dim * math.log(CONTEXT / (2 * math.pi * turns)) / (2 * math.log(theta)) for turns in (32, 1)]
    first, last = max(math.floor(turns_at[0]), 0), min(math.ceil(turns_at[1]), dim - 1)
    ramp = torch.tensor([min(max((i - first) / (last - first), 0), 1) for i in range(dim // 2)])
    return plain(theta, dim) * (1 - ramp) + plain(theta, dim) / factor * ramp


FORMULAS = {"linear": interpolated, "dynamic": dynamic_ntk, "yarn": by_parts, "ntk": ntk_aware}


def turning(model, layer_type, length):
    """What layers are handed in a text of `length` tokens: radians per position of each pair, and cos's factor."""
    rotary = model.get_decoder().rotary_emb
    named = {"layer_type": layer_type} if layer_type else {}
    cos, sin = (part[0, 1].double() for part in rotary(torch.zeros(1), torch.arange(length)[None], **named))
    half = len(cos) // 2
    return torch.atan2(sin, cos)[:half], torch.hypot(sin, cos)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Saves a tiny model of an architecture, once."""
    made = {}

    def give(name):
        if name not in made:
            made[name] = save(model_of(config_of(name)), tmp_path_factory.mktemp(name))
        return made[name]

    return give


@pytest.mark.parametrize("kind", RESCALED)
@pytest.mark.parametrize("name", TURNING)
def test_a_loaded_model_turns_by_the_papers_formula(folder, name, kind):
    model = loading.load(f"{folder(name)},rope={kind}:3", device="cpu").model
    dim, bases = TURNING[name]
    for (layer_type, theta), length in [(base, n) for n in (CONTEXT, 3 * CONTEXT) for base in bases.items()]:
        found, factor = turning(model, layer_type, length)
        torch.testing.assert_close(found, FORMULAS[kind](theta, dim, 3, length).double(), rtol=2e-5, atol=1e-7)
        expected = 0.1 * math.log(3) + 1 if kind == "yarn" else 1
        torch.testing.assert_close(factor, torch.full_like(factor, expected))


def test_yarn_leaves_fast_pairs_alone_and_interpolates_slow_ones():
    slow = config_of("llama", rope_parameters={"rope_type": "default", "rope_theta": 10_000.0})
    found, _ = turning(model_of(rescale(slow, "yarn:3")), None, CONTEXT)
    slowed = plain(10_000, 12) / found
    turns = CONTEXT * plain(10_000, 12) / (2 * math.pi)
    assert slowed[turns >= 32].tolist() == pytest.approx([1], rel=1e-5)
    assert slowed[turns <= 1].tolist() == pytest.approx([3] * 3, rel=1e-5)
    between = slowed[(turns < 32) & (turns > 1)]
    assert len(between) > 1
    assert ((between > 1) & (between < 3)).all()


@pytest.mark.parametrize("options", ["", ",load_in_4bit=True", ",dtype=bfloat16,attn_implementation=eager"])
def test_a_rescaled_model_is_loaded_like_any_other(folder, ids, options):
    rescaled, as_it_is = (
        loading.load(f"{folder('llama')}{rope}{options}", device="cpu") for rope in (",rope=linear:4", "")
    )
    assert not torch.equal(run(rescaled.model, ids), run(as_it_is.model, ids))
    for name in ("dtype", "quantization", "attn_implementation", "parameters"):
        assert rescaled.provenance[name] == as_it_is.provenance[name]
    assert torch.equal(run(drop_rope(rescaled.model), ids), run(drop_rope(as_it_is.model), ids))
    assert rescaled.provenance["arguments"]["rope"] == "linear:4"


@pytest.mark.parametrize("kind", RESCALED)
def test_a_rescaled_model_sees_positions(folder, kind, ids):
    model = loading.load(f"{folder('llama')},rope={kind}:4", device="cpu").model
    assert position_response(model, ids)["change"] > 0.01


@pytest.mark.parametrize("name", ["llama", "gemma3_text"])
def test_dynamic_acts_beyond_the_context_alone_whatever_was_read_before(name, ids, tmp_path):
    save(model_of(config_of(name, max_position_embeddings=20)), tmp_path)
    model = loading.load(f"{tmp_path},rope=dynamic:4", device="cpu").model
    plain_model = loading.load(str(tmp_path), device="cpu").model
    everything = [run(model, ids[:, :n]) for n in (24, 22, 20, 12)]
    assert all(torch.equal(run(model, ids[:, :n]), e) for n, e in zip((24, 22, 20, 12), everything, strict=True))
    fresh = loading.load(f"{tmp_path},rope=dynamic:4", device="cpu").model
    assert torch.equal(run(fresh, ids[:, :22]), everything[1])
    same = [torch.equal(run(plain_model, ids[:, : e.shape[1]]), e) for e in everything]
    assert same == [False, False, True, True]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (lambda: config_of("gpt2", n_embd=48), "gpt2 by rope=yarn:4: it has none$"),
        (lambda: config_of("gptj", n_embd=48), "gptj by rope=yarn:4: it has none$"),
        (lambda: rescale(config_of("llama"), "linear:2"), "it is not plain but linear already$"),
        (lambda: rescale(config_of("gemma3_text"), "dynamic:2"), "it is not plain but dynamic already$"),
        (lambda: drop_rope(tiny_llama()).config, "llama by rope=yarn:4: it has none$"),
    ],
)
def test_what_has_no_plain_rotation_is_refused(config, reason):
    with pytest.raises(CannotRescale, match=f"^cannot rescale the rotation of .*{reason}"):
        rescale(config(), "yarn:4")


def test_of_several_rotations_those_that_are_plain_are_rescaled():
    config = config_of("gemma3_text")
    config.rope_parameters["full_attention"] |= {"rope_type": "linear", "factor": 8.0}
    found = rescale(config, "linear:4").rope_parameters
    assert {key: (one["rope_type"], one["factor"]) for key, one in found.items()} == {
        "full_attention": ("linear", 8.0),
        "sliding_attention": ("linear", 4.0),
    }


def test_the_text_part_of_a_model_of_text_and_pictures_is_rescaled():
    text = config_of("gemma3_text").to_dict()
    config = rescale(transformers.AutoConfig.for_model("gemma3", text_config=text), "linear:4")
    found = config.text_config.rope_parameters
    assert [found[kind]["rope_type"] for kind in ("full_attention", "sliding_attention")] == ["linear"] * 2


def test_types_of_layers_with_heads_of_their_own_size_are_rescaled_by_it():
    found = rescale(transformers.AutoConfig.for_model("gemma4_text", head_dim=64), "ntk:4").rope_parameters
    assert found["sliding_attention"]["rope_theta"] == pytest.approx(10_000 * 4 ** (64 / 62))
    assert found["full_attention"]["rope_type"] == "proportional"


def test_a_config_as_plain_values_is_refused_alike():
    check_rescaling(config_of("llama").to_dict(), "yarn:4")
    check_rescaling({"model_type": "unknown to transformers"}, "yarn:4")
    with pytest.raises(CannotRescale, match=r"it is not plain but linear already$"):
        check_rescaling(rescale(config_of("llama"), "linear:2").to_dict(), "yarn:4")


def test_a_drope_checkpoint_is_refused(tmp_path):
    save(drop_rope(tiny_llama()), tmp_path)
    with pytest.raises(CannotRescale, match=r"rotation of llama by rope=ntk:4: it has none$"):
        loading.load(f"{tmp_path},rope=ntk:4", device="cpu")


def test_a_config_that_cannot_be_read_gets_a_sentence(tmp_path):
    save(tiny_llama(), tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"max_position_embeddings": 512', '"max_position_embeddings": "x"'))
    with pytest.raises(ValueError, match=r"has a broken config\.json: .*Field 'max_position_embeddings'"):
        loading.load(f"{tmp_path},rope=ntk:4", device="cpu")


@pytest.mark.parametrize("rope", ["linear:4", "ntk:4", "dynamic:4", "yarn:4"])
@pytest.mark.parametrize("value", [None, True, -1, 1e308, "x", [], {}])
@pytest.mark.parametrize("name", ["rope_theta", "rope_type", "max_position_embeddings"])
def test_odd_rope_parameters_end_in_a_sentence_or_in_a_model(tmp_path, name, value, rope):
    save(tiny_llama(layers=1), tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    (config if name in config else config["rope_parameters"])[name] = value
    path.write_text(json.dumps(config))
    try:
        loaded = loading.load(f"{tmp_path},rope={rope}", device="cpu").model.config.rope_parameters["rope_type"]
    except ValueError as error:
        loaded, sentence = None, str(error)
        assert "\n" not in sentence
        assert "cannot be" in sentence or "cannot rescale" in sentence or "broken config.json" in sentence
    assert loaded in (None, "default", *RESCALED)
