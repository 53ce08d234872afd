import pytest

from lib.definitions.command_line import refuse_empty

pytestmark = pytest.mark.cpu


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--out", ""], "--out"),
        (["--out="], "--out"),
        (["--out", "  "], "--out"),
        (["a.json", "--texts", "b.jsonl", ""], "--texts"),
        (["a.json", ""], "an argument"),
    ],
)
def test_an_empty_value_is_refused_with_the_name_of_its_option(arguments, named):
    with pytest.raises(ValueError, match=f"^{named} is empty: give it a value, or leave it out$"):
        refuse_empty(arguments)


def test_values_switches_and_negative_numbers_are_no_empty_values():
    refuse_empty(["a.json", "--switch", "--rate=-1", "--steps", "-1", "--pair=a=b", "-"])
