import pytest

from lib.published.figures import Column, Figure, NotPublished, Published

pytestmark = pytest.mark.cpu
ONE, TWO = Figure(1.0, 0.5), Figure(2.0, 0.5)
COLUMN = Column(
    "text",
    1,
    {
        ("total", "rope", "query"): ONE,
        ("layers", "rope", "query"): (ONE, TWO),
        ("kind", "rope", "poems", "massive"): ONE,
        ("kind", "rope", "poems", "random"): ONE,
        ("kind", "rope", "letters", "massive"): TWO,
        ("kind", "drope", "laws", "massive"): TWO,
    },
)


def test_a_series_is_no_single_figure_and_a_single_figure_no_series():
    assert (COLUMN.get("total", "rope", "query"), COLUMN.series("total", "rope", "query")) == (ONE, None)
    assert (COLUMN.get("layers", "rope", "query"), COLUMN.series("layers", "rope", "query")) == (None, (ONE, TWO))
    assert COLUMN.get("total", "drope", "query") is COLUMN.series("total", "drope", "query") is None


def test_kinds_are_those_of_the_arm_each_listed_once_whatever_is_published_of_them():
    assert COLUMN.kinds("rope") == ["poems", "letters"]


def test_a_study_has_a_whole_number_of_layers():
    assert Published({"layers": 32}, {}).layers == 32


def test_a_figure_that_is_not_published_is_a_value_error_of_its_own():
    assert issubclass(NotPublished, ValueError)
