"""The filter of a destination: what it selects, and what is refused before any event is read."""

import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.decoding.columns import decode
from consumer.decoding.event_schema import EVENT_COLUMNS
from consumer.formats import filter as filter_module
from consumer.formats.filter import FUNCTIONS, FilterError, check_node, compile_filter
from tests.support.messages import WRITER_SCHEMAS, event, event_lists, message

PAGE = (Path(__file__).parents[3] / "docs/destinations/filters.md").read_text("utf-8")
ITEM = {"id": "7", "name": "Zoë", "typeName": "USER", "parentId": None, "parentName": None}
EVENT = event(
    7,
    created=1_767_225_600_000,  # 2026-01-01T00:00:00Z
    collected=1_767_225_660_000,
    category="permissions",
    remoteAddress="10.0.0.7",
    objectItem=ITEM,
    associatedItems=[ITEM, {**ITEM, "name": "admins", "typeName": "GROUP"}],
    changedValues=[{"fieldName": "Email", "changedFrom": None, "changedTo": "x"}],
)


def frame(*events):
    return decode([message(each) for each in events], WRITER_SCHEMAS).frame


def mask(where, *events):
    return compile_filter(where, EVENT_COLUMNS).mask(frame(*events)).to_list()


def refusal(where):
    with pytest.raises(FilterError) as caught:
        compile_filter(where, EVENT_COLUMNS)
    return str(caught.value)


@pytest.mark.parametrize(
    "where",
    [
        "category IN ('permissions', 'user management') AND mode = 'live'",
        "category LIKE 'perm%'",
        "summary ILIKE '%CREATED%'",
        "summary ~ '^User' AND REGEXP_LIKE(summary, 'created$')",
        "STARTS_WITH(remoteAddress, '10.')",
        "COALESCE(description, 'none') = 'none'",
        "CASE WHEN id = 7 THEN TRUE ELSE FALSE END",
        "description IS NULL AND objectItem IS NOT NULL",
        "description IS DISTINCT FROM 'x'",
        "objectItem.typeName = 'USER'",
        "'GROUP' = ANY(associatedTypes)",
        "ARRAY_CONTAINS(associatedNames, 'admins')",
        "ARRAY_LENGTH(associatedItems) = 2 AND ARRAY_LENGTH(changedFields) = 1",
        "changedFields[1] = 'Email'",
        "created = TIMESTAMP '2026-01-01 00:00:00'",
        "created BETWEEN DATE '2026-01-01' AND DATE '2026-01-02'",
        "CAST(created AS DATE) = DATE '2026-01-01' AND EXTRACT(hour FROM created) = 0",
        "collected - INTERVAL '1 minute' = created",
        "id % 2 = 1 AND NOT (id = 8)",
    ],
)
def test_a_condition_on_one_event_works(where):
    """Each form of the page selects the event that fulfils it, whether it is alone or not."""
    assert mask(where, EVENT) == [True]
    other = event(8, created=0, collected=0, description="x", category="x", summary="x")
    assert mask(where, other, EVENT, other)[1] is True
    assert mask(where, other) in ([False], [None])


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("sumary = 'x'", "unknown column sumary: did you mean summary?"),
        ("ID = 1", "unknown column ID: did you mean id?"),
        ("'USER' = ANY(asociatedTypes)", "did you mean associatedTypes?"),
        ("objectItem.typName = 'x'", "unknown field typName: did you mean typeName?"),
        ("xyzzy = 1", "use one of organization, id,"),
        ("replay_id IS NULL", "reads replay_id, which no event has when the condition is checked"),
        ("UPPR(category) = 'X'", "unknown function UPPR: did you mean UPPER?"),
        ("category = 'x' AND", "is not a condition in SQL"),
        ("category = 'x'; id = 1", "is not a condition in SQL"),
        ("category = 'x', id = 1", "is not a condition in SQL"),
        ("*", "is not a condition in SQL"),
        ("", "is not a condition in SQL"),
        ("id", "is a value of the type Int64"),
        ("TRUE", "uses no column"),
        ("1 = 1", "uses no column"),
        ("category ~ '('", "cannot be applied to events: regex"),
        ("created > '2026-01-01'", "write the time as TIMESTAMP '2026-01-31 00:00:00'"),
        ("\"^c.*$\" = 'x'", "name one column at a time"),
        ("NOW() > created", "must not use the present time"),
        ("created > CURRENT_DATE", "must not use the present time"),
    ],
)
def test_a_condition_that_cannot_work_is_refused_with_the_correction(where, said):
    assert said in refusal(where)


@pytest.mark.parametrize(
    "where",
    [
        "MAX(id) > 3",
        "id = (id + 0) AND SUM(id) > 3",
        "COUNT(*) > 1",
        "COUNT(DISTINCT category) > 1",
        "LAG(id) OVER (ORDER BY id) > 3",
        "ROW_NUMBER() OVER () > 1",
        "RANK() OVER (ORDER BY id) = 1",
        "FIRST(category) = 'x'",
        "ARRAY_AGG(id) IS NULL",
        "STRING_AGG(category, ',') = 'x'",
        "CORR(id, id) > 1",
        "QUANTILE_CONT(id, 0.5) > 1",
        "UNNEST(associatedTypes) = 'x'",
        "CASE WHEN category = 'x' THEN MIN(id) = 1 ELSE TRUE END",
    ],
)
def test_aggregates_and_windows_are_refused(where):
    """Their value would depend on the events that happened to be fetched together."""
    assert "other events" in refusal(where)


@pytest.mark.parametrize(
    ("node", "named"),
    [
        (7, "an expression"),
        ("Len", "Len"),
        ({"Function": {"input": [], "function": 3}}, "an expression"),
        ({"Function": {"input": [], "function": {"Abs": 1, "Sign": 2}}}, "Abs"),
        ({"Function": {"input": [], "function": {"Neu": {}}}}, "Neu"),
    ],
)
def test_a_node_of_a_newer_polars_is_refused_by_its_name(node, named):
    """A node that this release does not know may look at other events, whatever its shape."""
    with pytest.raises(FilterError, match=f"uses {named}, which looks at other events"):
        check_node(node)


def test_the_net_below_the_list_of_nodes_finds_them_too(monkeypatch):
    """An expression whose value depends on its neighbours is refused although its nodes are not known."""
    monkeypatch.setattr(filter_module, "check_node", lambda _node: None)
    assert "other events" in refusal("id = MAX(id)")
    assert "other events" in refusal("COALESCE(LAG(category) OVER (ORDER BY id), 'none') = 'none'")


@pytest.mark.parametrize(
    "query",
    [
        "category = (SELECT column_1 FROM read_csv('FILE'))",
        "category IN (SELECT * FROM read_csv('FILE'))",
        "EXISTS (select * from read_parquet('FILE'))",
        "category = (FROM read_csv('FILE'))",
        "category = (/**/ FROM 'FILE')",
        "category IN (SELECT 'x')",
        "read_csv('FILE') = 'x'",
        "category = `'` OR EXISTS (SELECT * FROM read_csv('FILE')) OR category = `'`",
        "category = E'\\' OR EXISTS (SELECT * FROM read_csv('FILE')) --'",
    ],
)
def test_a_condition_reads_no_file(query, tmp_path):
    """Polars opens the file while it parses the subquery, so the text is refused before."""
    path = tmp_path / "secret.csv"
    path.write_text("a secret line\n1\n")
    missing = refusal(query.replace("FILE", str(tmp_path / "missing.csv")))
    assert refusal(query.replace("FILE", str(path))) == missing
    assert "subquery" in missing
    assert "secret" not in missing
    assert "No such file" not in missing


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("id" + "::bigint" * 20_000 + " = 1", "characters"),
        ("id = 1" + " OR id = 1" * (400), "characters"),
        ("not(" * 30 + "id = 1", "parentheses"),
        ("id = 1" + " * 1" * 900, "signs"),
        ("LENGTH(RPAD(summary, 2000000000, 'x')) > 1", "pads"),
        ("LENGTH(LPAD(summary, id, 'x')) > 1", "pads"),
        ("LENGTH(" + "REPLACE(" * 8 + "summary" + ", '', 'aaaaaaaaaaaaaaa')" * 8 + ") > 1", "longer"),
        ("REPLACE(summary, 'a', 'aa') = 'b'", "longer"),
        ("REPLACE(summary, 'a', summary) = 'b'", "value of the event"),
        ("REGEXP_REPLACE(summary, '(?:.*)', '$0$0') = 'b'", "pattern"),
    ],
)
def test_a_condition_cannot_end_the_process(where, reason):
    """A form of the console takes conditions: recursion beyond the stack, or memory without bound, would end producer and consumers too,
    and one that parses for hours would hold them up.
    """
    assert reason in refusal(where)


def test_a_replacement_that_is_no_longer_works():
    assert mask("REPLACE(category, 'permissions', 'p') = 'p'", EVENT) == [True]


def test_null_is_neither():
    """SQL's rule, which the page explains: a comparison with nothing is not true, so such events are left out."""
    without = event(8)
    assert mask("objectItem.typeName <> 'GROUP'", EVENT, without) == [True, None]
    assert mask("objectItem.typeName IS DISTINCT FROM 'GROUP'", EVENT, without) == [True, True]
    assert mask("'USER' = ANY(associatedTypes)", EVENT, without) == [True, None]


def test_times_of_any_year_can_be_compared():
    """A time out of the years 1 to 9999 is later or earlier than every literal, and no error."""
    assert mask("created > TIMESTAMP '2026-01-01 00:00:00'", event(1, created=2**62), event(2, created=-(2**62))) == [
        True,
        False,
    ]  # fmt: skip


CONDITIONS = {
    "category IN ('a', 'b') OR mode = 'late'": lambda e: _or(
        None if e["category"] is None else e["category"] in {"a", "b"}, e["mode"] == "late"
    ),
    "summary LIKE 'a%'": lambda e: None if e["summary"] is None else e["summary"].startswith("a"),
    "objectItem.typeName IS DISTINCT FROM 'USER'": lambda e: (
        (e["objectItem"] or {}).get("typeName") != "USER"
    ),
    "ARRAY_LENGTH(associatedNames) > 1": lambda e: (
        None if e["associatedItems"] is None else len(e["associatedItems"]) > 1
    ),
    "id % 2 = 0": lambda e: e["id"] % 2 == 0,
    "created < collected": lambda e: _clipped(e["created"]) < _clipped(e["collected"]),
}


def _or(one, other):
    return True if one or other else None if one is None else False


def _clipped(ms):
    return min(max(ms, -62_135_596_800_000), 253_402_300_799_999)


@given(st.sampled_from(sorted(CONDITIONS)), event_lists)
@settings(deadline=None, max_examples=60)
def test_the_columns_agree_with_a_plain_twin(where, events):
    """The mask of any events is that of plain Python, one event at a time."""
    assert mask(where, *events) == [CONDITIONS[where](each) for each in events]


def test_every_function_that_the_page_lists_exists():
    """Each function is on the page and in the messages, and polars knows it."""
    listed = re.search(r"These functions work: (.*)\.\n", PAGE)
    assert listed
    assert tuple(re.findall(r"`(\w+)`", listed[1])) == FUNCTIONS
    for name in FUNCTIONS:
        assert "unsupported function" not in parse_error(f"{name}(id)"), name


def parse_error(where):
    try:
        pl.sql_expr(where)
    except pl.exceptions.PolarsError as error:
        return str(error)
    return ""


def test_every_condition_of_the_page_works():
    """A reader may copy each one."""
    found = re.findall(r'^where = "(.*)"$', PAGE, re.MULTILINE)
    assert len(found) >= 5
    for where in found:
        compile_filter(where, EVENT_COLUMNS)
