"""The table of organizations: searched, filtered, sorted, cut into pages."""

from console.pages.organization_rows import PAGE_ROWS, RowQuery, select
from relay.timestamps import DAY_MS
from tests.support.views import NOW, view

VIEWS = [
    view("b-fails", "failing", "HOST refuses the key"),
    view("c-waits", "waiting", "rate limit", credential_expires=NOW + DAY_MS),
    view("a-works", credential_expires=NOW + 100 * DAY_MS),
]


def names(**parameters):
    texts = {name: str(value) for name, value in parameters.items()}
    return [row.name.partition(".")[0] for row in select(VIEWS, RowQuery.of(texts)).rows]


def test_those_that_need_somebody_come_first():
    """Without a wish the order is that of urgency, and by name among equals."""
    assert names() == ["b-fails", "c-waits", "a-works"]
    assert names(sort="nonsense") == names()


def test_a_column_sorts_in_both_directions():
    """The same column again turns the order round."""
    assert names(sort="name") == ["a-works", "b-fails", "c-waits"]
    assert names(sort="name", reverse=1) == ["c-waits", "b-fails", "a-works"]
    assert names(sort="expiry") == ["c-waits", "a-works", "b-fails"]
    assert RowQuery.of({"sort": "name"}).sort_link("name").endswith("sort=name&reverse=1")
    assert RowQuery.of({"sort": "name", "reverse": "1"}).sort_link("name").endswith("?sort=name")


def test_text_and_state_choose_rows():
    """The text is looked for in name, URL, user and reason, in any case; the state must be the same."""
    assert names(q="B-FAILS") == ["b-fails"]
    assert names(q="refuses the KEY") == ["b-fails"]
    assert names(state="waiting") == ["c-waits"]
    assert names(q="a-works", state="waiting") == []


def test_many_rows_are_cut_into_pages():
    """A page beyond the last one is the last one; nonsense is the first."""
    many = [view(f"site-{number:04}") for number in range(PAGE_ROWS * 2 + 1)]

    def page(text):
        found = select(many, RowQuery.of({"page": text, "sort": "name"}))
        return found.page, found.pages, len(found.rows), found.found

    assert page("1") == (1, 3, PAGE_ROWS, 401)
    assert page("3") == page("99") == (3, 3, 1, 401)
    assert page("x") == page("-1") == page("0") == page("9" * 40) == (1, 3, PAGE_ROWS, 401)


def test_a_link_keeps_the_query_and_escapes_it():
    """What was searched for stays in the links of the table."""
    query = RowQuery.of({"q": "a&b=c", "state": "no owner"})

    assert query.link(page=2) == "/organizations?q=a%26b%3Dc&state=no+owner&page=2"
    assert RowQuery().link() == "/organizations"
