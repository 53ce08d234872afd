"""Small studies, made up for tests, and what is found in them."""

import tomllib
from decimal import Decimal

from lib.published.figures import Published
from lib.published.findings import audit_document
from lib.published.reading import published

STUDY = '[study]\ntitle = "A"\nrope = "r"\ndrope = "d"\nlayers = 3\nheads = 32\n'


def parse(*tables: str) -> Published:
    """A study of three layers with these tables."""
    return published(tomllib.loads(STUDY + "\n".join(tables), parse_float=Decimal))


def found(kind: str, *tables: str) -> list[dict]:
    """The findings of a kind in a study with these tables."""
    return [finding for finding in audit_document(parse(*tables))["findings"] if finding["kind"] == kind]


def sentence(kind: str, *tables: str) -> str:
    """The one finding of a kind, as it is said."""
    (finding,) = found(kind, *tables)
    return finding["sentence"]


def layers(quantity: str, *lines: str, column: str = "stored", name: str = "a") -> str:
    """A table of figures layer by layer."""
    return "\n".join([f"[[{column}.layers]]", f"name = {name!r}", f"quantity = {quantity!r}", *lines])


def ablations(baseline: str, *zeroed: str, column: str = "stored", name: str = "a") -> str:
    """A table of perplexities with outputs of modules zeroed, each given by its lines."""
    head = [f"[[{column}.ablations]]", f"name = {name!r}", baseline]
    return "\n".join([*head, *(f"[[{column}.ablations.zeroed]]\n{lines}" for lines in zeroed)])


def contexts(*lines: str, column: str = "text", name: str = "a") -> str:
    """A table of right answers by length of the context."""
    return "\n".join([f"[[{column}.contexts]]", f"name = {name!r}", *lines])
