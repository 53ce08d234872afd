import pytest

from lib.definitions.printable import printable

pytestmark = pytest.mark.cpu


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a folder of 中文, é and 🙂", "a folder of 中文, é and 🙂"),
        ("a\nX1 supported", "a\\nX1 supported"),
        ("a\r\x1b[2Kb", "a\\r\\x1b[2Kb"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp", "\\u202egnp"),
        ("\u2028", "\\u2028"),
        ("\udcff", "\\udcff"),
        ("\x00", "\\x00"),
    ],
)
def test_what_is_not_printed_is_shown_as_its_escape(text, shown):
    assert printable(text) == shown
