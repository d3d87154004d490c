"""Records of Jira: a sample, any record as a strategy, and a comparison."""

from collections.abc import Collection, Mapping
from typing import Any

from hypothesis import strategies as st

from producer.events import TEXT_FIELDS
from producer.sources.jira_cloud.mapping import CHANGE_FIELDS, ITEM_FIELDS
from relay import timestamps

SAMPLE = {
    "id": 1203,
    "summary": "Workflow updated",
    "remoteAddress": "203.0.113.7",
    "authorKey": "ug:0613",
    "authorAccountId": "5e72",
    "created": "2022-01-24T08:48:05.645+0000",
    "category": "workflows",
    "eventSource": "",
    "description": "why",
    "objectItem": {
        "id": "Flow A",
        "name": "Flow A",
        "typeName": "WORKFLOW",
        "parentId": "1",
        "parentName": "p",
    },
    "changedValues": [{"fieldName": "Key", "changedTo": ""}, {"fieldName": "Name", "changedFrom": "null"}],
    "associatedItems": [{"name": "b"}, {"name": "a"}],
}

MAYBE_SURROGATE = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | MAYBE_SURROGATE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MAYBE_SURROGATE, inner, max_size=3),
    max_leaves=6,
)


def _members(names: tuple[str, ...]) -> Any:
    return st.dictionaries(st.sampled_from([*names, "mode", "unmodeled"]), MAYBE_SURROGATE | JSON, max_size=6)


RECORDS = st.fixed_dictionaries(
    {
        "id": st.integers(0, 2**63 - 1) | st.integers(0, 2**63 - 1).map(str),
        "created": st.integers(-62_135_596_800_000, 253_402_300_799_999).flatmap(
            lambda ms: st.sampled_from([timestamps.to_iso(ms), timestamps.to_iso(ms)[:-1] + "123+0000"])
        ),
    },
    optional={
        **dict.fromkeys(TEXT_FIELDS, MAYBE_SURROGATE | JSON),
        "objectItem": _members(ITEM_FIELDS) | JSON,
        "changedValues": st.lists(_members(CHANGE_FIELDS) | JSON, max_size=3) | JSON,
        "associatedItems": st.lists(_members(ITEM_FIELDS) | JSON, max_size=3) | JSON,
        "organization": JSON,
        "collected": JSON,
        "\ud800": JSON,
    },
)


def without_nulls(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record without null members that the schema names: in Jira they mean the same as absent ones."""

    def item(value: Any, names: Collection[str]) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: one for name, one in value.items() if name not in names or one is not None}

    lists = {"changedValues": CHANGE_FIELDS, "associatedItems": ITEM_FIELDS}
    known = {*TEXT_FIELDS, "objectItem", *lists}
    kept = {name: value for name, value in record.items() if name not in known or value is not None}
    kept |= {name: item(kept[name], ITEM_FIELDS) for name in ("objectItem",) if name in kept}
    return kept | {
        name: [item(one, names) for one in kept[name]]
        for name, names in lists.items()
        if isinstance(kept.get(name), list)
    }
