import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lib.effects.counts import MassiveValues
from lib.judging.verdicts import NoSubject

pytestmark = pytest.mark.cpu
NAMES, SIZES = ("query", "key", "value"), ("layer", "head", "dim")
examples = settings(deadline=None, max_examples=40, derandomize=True, database=None)


def record(**norms):
    """Norms [text, layer, head, dim] of query, and those of key and value where they are others."""
    found = {name: norms.get(name, norms["query"]) for name in NAMES}
    return xr.Dataset({f"{n}_norm": (("text", *(f"{n}_{size}" for size in SIZES)), found[n]) for n in NAMES})


def planted(layers, heads, dim, *counts):
    """One text with so many massive channels in every layer, or in each of them."""
    norms = np.ones((1, layers, heads * dim), dtype=np.float32)
    for layer in range(layers):
        norms[:, layer, : counts[layer % len(counts)]] = 1000
    return norms.reshape(1, layers, heads, dim)


small = arrays(np.float32, (2, 3, 2, 8), elements=st.sampled_from([1.0, 2.0, 500.0, 1000.0]))


@examples
@given(small, small, st.integers(1, 7), st.integers(1, 7), st.booleans())
def test_a_percent_change_does_not_depend_on_how_often_every_head_is_repeated(rope, drope, times, others, layers):
    axis = 1 if layers else 2
    plain = MassiveValues({"rope": record(query=rope), "drope": record(query=drope)}, 2.0)
    more = {
        "rope": record(query=rope.repeat(times, axis), key=rope),
        "drope": record(query=drope.repeat(others, axis), key=drope),
    }
    try:
        expected = plain.change("query")
    except NoSubject:
        return
    # exact: whole numbers are multiplied before anything is divided
    found = MassiveValues(more, 2.0).change("query")
    assert found.value == pytest.approx(expected.value)
    assert found.sample == pytest.approx(expected.sample)


def test_as_much_of_another_number_of_channels_is_no_change():
    both = MassiveValues({"rope": record(query=planted(2, 2, 16, 3)), "drope": record(query=planted(3, 4, 16, 6))})
    assert both.change("query").value == 0
    assert both.totals("drope", "query").tolist() == [18]
    assert both.rates("drope", "query").tolist() == both.rates("rope", "query").tolist() == [100 * 3 / 32]


def test_tensors_with_equally_many_channels_compare_though_others_do_not():
    few, many = planted(2, 2, 16, 3), planted(2, 4, 16, 3)
    grouped = MassiveValues({"rope": record(query=many, key=few, value=few)})
    assert grouped.alike("rope", "key", "value")
    assert not grouped.alike("rope", "query", "key")


def test_a_change_of_a_layer_is_in_channels_of_the_rope_arms_layer():
    both = MassiveValues({"rope": record(query=planted(2, 2, 16, 3, 1)), "drope": record(query=planted(2, 6, 16, 6))})
    assert both.change_per_layer("query").tolist() == [[6 * 32 / 96 - 3, 6 * 32 / 96 - 1]]
    assert both.layer_rates("drope", "query").tolist() == [[100 * 6 / 96] * 2]


def test_rates_say_something_as_soon_as_one_tensor_of_one_arm_has_other_channels():
    even, grouped = planted(2, 4, 8, 1), planted(2, 2, 8, 1)
    assert not MassiveValues({"rope": record(query=even), "drope": record(query=even)}).uneven
    assert MassiveValues({"rope": record(query=even, key=grouped)}).uneven
    assert MassiveValues({"rope": record(query=even), "drope": record(query=even, value=grouped)}).uneven
    # as many channels in all, and others in a layer
    assert MassiveValues({"rope": record(query=even), "drope": record(query=planted(4, 2, 8, 1))}).uneven
    # heads of another size, and as many channels
    assert not MassiveValues({"rope": record(query=even), "drope": record(query=planted(2, 2, 16, 1))}).uneven


def test_rates_are_said_where_they_say_something():
    both = {"rope": record(query=planted(2, 4, 8, 3)), "drope": record(query=planted(2, 2, 8, 2, 0))}
    said = MassiveValues(both).describe_rates(("rope", "query"), ("drope", "key"))
    assert said == "rope query 9.38 % of 64 channels, drope key 6.25 % of 32 channels"
    layer = MassiveValues(both).describe_rates(("drope", "query"), layer=1)
    assert layer == "drope query 0 % of the 16 channels of layer 1"
    assert MassiveValues({"rope": both["rope"]}).describe_rates(("rope", "query")) == ""


def test_layers_correspond_where_there_are_as_many():
    arms = {"rope": record(query=planted(3, 2, 8, 1)), "drope": record(query=planted(3, 4, 8, 1))}
    MassiveValues(arms).need_layers()
    deeper = MassiveValues({**arms, "drope": record(query=planted(4, 2, 8, 1))})
    for ask in (deeper.need_layers, lambda: deeper.change_per_layer("query"), lambda: deeper.moved_share("query")):
        with pytest.raises(NoSubject, match="the arms have 3 and 4 layers, so layers do not correspond"):
            ask()


@pytest.mark.parametrize("shape", [(3, 2, 8), (2, 4, 8), (2, 2, 16), (2, 1, 16)])
def test_channels_of_another_shape_have_no_overlap(shape):
    both = MassiveValues({"rope": record(query=planted(2, 2, 8, 1)), "drope": record(query=planted(*shape, 1))})
    sizes = " x ".join(map(str, shape))
    with pytest.raises(ValueError, match=f"query states of 2 x 2 x 8 and {sizes} .layers x heads x dims., so channels"):
        both.overlap("query")
