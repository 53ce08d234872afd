import base64
import io
import json
import zlib

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from fixtures.planted.records import frequency
from lib.definitions.massive import massive_mask, pooled_norms
from lib.definitions.words import ARMS, NAMES, SCOPES
from lib.effects.counts import MassiveValues
from lib.reporting.figures.heat_maps import LEVELS, decode, heat_maps, legend, levels, scale_of, shape_of, sprite, ticks

pytestmark = pytest.mark.cpu

examples = settings(deadline=None, max_examples=60, derandomize=True, database=None)
scopes = st.sampled_from(SCOPES)
# norms within a few steps of rounding of each other and of simple multiples of their mean, and norms far apart
near = st.sampled_from([0.0, 1.0, 1 - 2**-24, 1 + 2**-23, 5.0, 5 + 2**-21, 40.0, 1000.0])
norms = arrays(
    np.float32, array_shapes(min_dims=4, max_dims=4, max_side=6).map(lambda s: (*s[:3], 2 * s[3])), elements=near
)
OF_OTHER_SHAPE = base64.b64encode(zlib.compress(bytes(7))).decode()


def both(query, key=None, value=None, **options):
    """Both arms with the same norms [text, layer, head, dim], those of query where none are given."""
    given = {"query": query, "key": query if key is None else key, "value": query if value is None else value}
    norms = {
        f"{name}_norm": (("text", "layer", "head" if name == "query" else "kv_head", "dim"), found)
        for name, found in given.items()
    }
    record = xr.Dataset({**norms, "frequency": (("layer", "dim"), frequency(query.shape[1], query.shape[-1]))})
    return MassiveValues(dict.fromkeys(ARMS, record), **options)


def planted(layers=3, heads=4, dim=8, *places):
    found = np.ones((2, layers, heads, dim), dtype=np.float32)
    for place in places:
        found[(slice(None), *place)] = 1000
    return found


def pixels(png):
    """Red, green and blue [row, column, 3] of a picture that must have a palette."""
    image = Image.open(io.BytesIO(png))
    assert image.mode == "P"
    return np.asarray(image.convert("RGB")).astype(int)


def warm(colours):
    return colours[..., 0] > colours[..., 2] + 100


def lightness(colours):
    """CIE L*, from 0 (black) to 100 (white)."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("arm", ARMS)
def test_a_planted_channel_is_warm_at_its_place_and_no_other_is(name, arm):
    maps = heat_maps(both(planted(3, 4, 8, (1, 2, 5))))
    colours = pixels(sprite(maps[name], arm, maps["scale"]))
    assert colours.shape == (3 * 4, 8, 3)
    assert np.argwhere(warm(colours)).tolist() == [[1 * 4 + 2, maps[name]["order"].index(5)]]


def test_fast_pairs_lie_left_and_the_two_dims_of_a_pair_beside_each_other():
    maps = heat_maps(both(planted()))
    assert maps["query"]["order"] == maps["key"]["order"] == [0, 4, 1, 5, 2, 6, 3, 7]
    assert maps["value"]["order"] == list(range(8))


def test_each_tensor_and_arm_shows_its_own_norms():
    records = {
        arm: both(*(planted(1, 2, 8, (0, i, j)) for j in range(3))).records["rope"] for i, arm in enumerate(ARMS)
    }
    maps = heat_maps(MassiveValues(records))
    for i, arm in enumerate(ARMS):
        for j, name in enumerate(NAMES):
            assert np.argwhere(decode(maps[name], arm, maps["scale"]) > 5).tolist() == [[0, i, j]]


def test_key_and_value_may_have_fewer_heads():
    maps = heat_maps(both(planted(2, 8, 4), *[planted(2, 2, 4, (1, 1, 3))] * 2))
    assert [maps[name]["heads"] for name in NAMES] == [8, 2, 2]
    assert decode(maps["key"], "drope", maps["scale"]).shape == (2, 2, 4)
    assert np.argwhere(warm(pixels(sprite(maps["value"], "rope", maps["scale"])))).tolist() == [[3, 3]]


@examples
@given(found=norms, threshold=st.sampled_from([1.0 + 2**-40, 1.5, 5.0, 40.0, 300.0]), scope=scopes)
def test_a_channel_is_above_the_threshold_if_and_only_if_it_is_massive(found, threshold, scope):
    maps = heat_maps(both(found, threshold=threshold, scope=scope))
    massive = massive_mask(pooled_norms(torch.from_numpy(found)), threshold=threshold, scope=scope).numpy()
    np.testing.assert_array_equal(decode(maps["key"], "rope", maps["scale"]) > threshold, massive)
    shown = massive[..., maps["key"]["order"]].reshape(-1, found.shape[-1])
    np.testing.assert_array_equal(warm(pixels(sprite(maps["key"], "rope", maps["scale"]))), shown)


@pytest.mark.parametrize(("step", "massive"), [(0, False), (1, True)])
def test_one_step_of_rounding_above_the_threshold_is_warm(step, massive):
    found = np.zeros((1, 1, 1, 10), dtype=np.float32)
    found[..., :2] = 1.0  # the mean is 1/5
    found[..., 0] += step * 2**-22
    maps = heat_maps(both(found))
    assert warm(pixels(sprite(maps["value"], "rope", maps["scale"])))[0, 0] == massive


@examples
@given(
    found=arrays(np.float32, (2, 2, 3, 4), elements=st.floats(2.0**-10, 2.0**10, width=32)),
    threshold=st.floats(1.01, 1000),
    scope=scopes,
)
def test_decoding_gives_the_ratios_back_within_the_stated_precision(found, threshold, scope):
    maps = heat_maps(both(found, threshold=threshold, scope=scope))
    scale = maps["scale"]
    pooled = np.sqrt((found.astype(float) ** 2).mean(0))
    ratios = pooled / pooled.mean((-2, -1) if scope == "layer" else -1, keepdims=True)
    off = decode(maps["query"], "drope", scale) / ratios.clip(scale["low"], scale["high"])
    assert np.abs(np.log2(off)).max() <= np.log2(1 + scale["precision"]) + 1e-5


def test_at_the_usual_threshold_a_ratio_is_told_to_two_and_a_half_percent():
    scale = scale_of(5.0)
    assert 0.024 < scale["precision"] < 0.025
    assert (scale["low"], scale["threshold"], scale["high"], scale["levels"]) == (1 / 8, 5.0, 64.0, LEVELS)


@pytest.mark.parametrize("scope", SCOPES)
def test_the_mean_is_that_of_the_scope(scope):
    found = np.repeat([1.0, 3.0], 4).reshape(1, 1, 2, 4).astype(np.float32)
    maps = heat_maps(both(found, scope=scope))
    expected = [1, 1] if scope == "head" else [0.5, 1.5]
    assert decode(maps["query"], "rope", maps["scale"])[0, :, 0] == pytest.approx(expected, rel=0.026)


def test_texts_are_pooled_by_root_mean_square():
    found = np.ones((2, 1, 1, 4), dtype=np.float32)
    found[:, 0, 0, 0] = [1, 7]  # pooled: 5, and a mean of 2
    maps = heat_maps(both(found))
    assert decode(maps["value"], "rope", maps["scale"])[0, 0, 0] == pytest.approx(2.5, rel=0.025)


def test_what_lies_outside_the_range_is_shown_at_its_bound():
    found = np.zeros((1, 1, 1, 200), dtype=np.float32)
    found[..., 7] = 1.0  # 200 x the mean
    ratios = decode(heat_maps(both(found))["key"], "rope", scale_of(5.0))[0, 0]
    assert ratios[7] == pytest.approx(64, rel=0.025)
    assert np.delete(ratios, 7) == pytest.approx(1 / 8, rel=0.025)


def test_a_layer_without_any_norm_is_at_the_bottom_of_the_scale():
    maps = heat_maps(both(np.zeros((1, 2, 2, 4), dtype=np.float32)))
    assert not levels(maps["query"], "rope").any()


def test_colours_differ_in_lightness_and_from_a_white_or_black_ground():
    scale = scale_of(5.0)
    bar = pixels(legend(scale))[0]
    light, is_warm = lightness(bar), warm(bar)
    assert light[is_warm].min() > light[~is_warm].max() + 10
    assert (np.diff(light[is_warm]) > -0.2).all()
    assert (np.diff(light[~is_warm]) > -0.2).all()
    assert 15 < light.min() < light.max() < 92


def test_the_legend_is_warm_above_the_threshold_and_has_the_colours_of_the_pictures():
    scale = scale_of(5.0)
    bar = pixels(legend(scale))
    assert bar.shape == (12, 2 * LEVELS, 3)
    assert warm(bar)[:, 2 * scale["first_massive"] :].all()
    assert not warm(bar)[:, : 2 * scale["first_massive"]].any()


def test_ticks_stand_at_the_bounds_the_mean_and_the_edge_of_the_warm_part():
    scale = scale_of(5.0)
    edge = scale["first_massive"] / LEVELS
    assert ticks(scale) == [(0, "0.125"), (pytest.approx(edge * 3 / np.log2(40)), "1"), (edge, "5"), (1, "64")]


@pytest.mark.parametrize("threshold", [1.01, 5.0, 10_000.0])
def test_there_is_room_on_both_sides_of_any_threshold(threshold):
    scale = scale_of(threshold)
    assert LEVELS / 8 < scale["first_massive"] < LEVELS * 0.9
    assert scale["high"] >= 8 * threshold


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_maps_and_pictures_of_a_model_of_7_billion_weights_stay_below_1_1_megabytes(spread):
    rng = np.random.default_rng(0)
    records = {
        arm: both(*rng.lognormal(0, spread, (3, 1, 32, 32, 128)).astype(np.float32)).records["rope"] for arm in ARMS
    }
    maps = heat_maps(MassiveValues(records))
    pictures = [sprite(maps[name], arm, maps["scale"]) for name in NAMES for arm in ARMS]
    assert sum(len(base64.b64encode(png)) for png in pictures) < 1_100_000
    assert len(json.dumps(maps, allow_nan=False)) < 1_100_000


def test_the_same_norms_give_the_same_bytes():
    first, second = (heat_maps(both(planted(1, 1, 4, (0, 0, 1)))) for _ in range(2))
    assert first == second
    assert sprite(first["key"], "rope", first["scale"]) == sprite(second["key"], "rope", second["scale"])


def test_an_arm_that_was_not_measured_is_named():
    with pytest.raises(ValueError, match="no record of the arm dropped"):
        heat_maps(both(planted()), ("rope", "dropped"))
    maps = heat_maps(both(planted()), ("drope",))
    with pytest.raises(ValueError, match="no arm 'rope', only drope"):
        decode(maps["query"], "rope", maps["scale"])


def test_arms_of_different_shape_have_sizes_of_their_own():
    small, large = planted(2, 3, 4, (1, 2, 3)), planted(3, 1, 8, (2, 0, 6))
    records = {arm: both(found).records["rope"] for arm, found in zip(ARMS, (small, large), strict=True)}
    maps = heat_maps(MassiveValues(records))
    found = {arm: np.argwhere(decode(maps["query"], arm, maps["scale"]) > 5).tolist() for arm in ARMS}
    assert found == {"rope": [[1, 2, 3]], "drope": [[2, 0, 6]]}
    assert maps["key"]["shapes"]["drope"]["order"] == [0, 4, 1, 5, 2, 6, 3, 7]
    assert [shape_of(maps["value"], arm)["heads"] for arm in ARMS] == [3, 1]
    assert pixels(sprite(maps["query"], "drope", maps["scale"])).shape == (3, 8, 3)


def test_arms_of_the_same_shape_say_it_once():
    assert set(heat_maps(both(planted()))["query"]) == {"layers", "heads", "dim", "order", "arms"}


@pytest.mark.parametrize("broken", [lambda text: text[:-8], lambda text: "A" + text, lambda _: OF_OTHER_SHAPE])
def test_damaged_bytes_are_told_in_a_sentence(broken):
    maps = heat_maps(both(planted()))
    maps["key"]["arms"]["rope"] = broken(maps["key"]["arms"]["rope"])
    with pytest.raises(ValueError, match="damaged or cut short"):
        decode(maps["key"], "rope", maps["scale"])


def test_norms_that_are_not_finite_make_no_picture():
    with pytest.raises(ValueError, match="finite"):
        heat_maps(both(np.full((1, 1, 1, 4), np.inf, dtype=np.float32)))
