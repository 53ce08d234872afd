"""The page of survivors: how it is read, and that what it names is still there."""

import pytest

from mutants.survivors import PAGE, ROOT, Mutant, explained, of_diff, without_spaces

pytestmark = pytest.mark.cpu
NAMED = explained(PAGE.read_text(encoding="utf-8"))
SECTION = """Introduction.

## a/b.py
```diff
-if x < 1:
+if x <= 1:
-    y = 2
+    y = 3
```
Both are the same number.

```diff
-@cache
```
It is only faster.
"""


def test_an_entry_is_a_diff_and_the_reason_below_it():
    found = explained(SECTION)
    assert {(m.was.strip(), m.becomes.strip()): reason for m, reason in found.items()} == {
        ("if x < 1:", "if x <= 1:"): "Both are the same number.",
        ("y = 2", "y = 3"): "Both are the same number.",
        ("@cache", ""): "It is only faster.",
    }


def test_a_change_is_read_from_a_diff_and_shown_as_the_page_has_it():
    diff = "--- mutation diff ---\n--- a/b.py\n+++ b/b.py\n@@ -1,2 +1,2 @@\n x = 0\n-    y = 2\n+    y =  3\n"
    (mutant,) = of_diff("a/b.py", diff)
    assert str(mutant) == "```diff\n-    y = 2\n+    y =  3\n```"
    assert mutant.key in {named.key for named in explained(SECTION)}


def test_two_changes_of_one_line_are_told_apart():
    assert Mutant("a.py", "x < 1", "x <= 1").key != Mutant("a.py", "x < 1", "x >= 1").key


@pytest.mark.parametrize("mutant", NAMED, ids=lambda mutant: f"{mutant.file}: {mutant.was.strip()}")
def test_every_survivor_is_explained_and_changes_lines_that_are_still_there(mutant):
    assert len(NAMED[mutant]) > 20
    assert without_spaces(mutant.was) in without_spaces((ROOT / mutant.file).read_text(encoding="utf-8"))
