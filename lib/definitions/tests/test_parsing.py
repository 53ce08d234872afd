import pytest

from lib.definitions.parsing import from_json, from_toml

pytestmark = pytest.mark.cpu


def test_what_is_written_is_read():
    assert from_json('{"a": [1, 2.5]}', parse_float=str) == {"a": [1, "2.5"]}
    assert from_toml("a = [1, 2.5]", parse_float=str) == {"a": [1, "2.5"]}


@pytest.mark.parametrize("read", [from_json, from_toml])
@pytest.mark.parametrize("depth", [5_000, 100_000])
def test_nesting_too_deep_is_a_value_error(read, depth):
    start = "" if read is from_json else "a = "
    with pytest.raises(ValueError, match=r"too deep|nested"):
        read(start + "[" * depth + "]" * depth)


@pytest.mark.parametrize(("read", "text"), [(from_json, "{"), (from_toml, "a = "), (from_json, "")])
def test_broken_text_is_a_value_error(read, text):
    with pytest.raises(ValueError, match=r"\w"):
        read(text)
