"""What an operator may ask of a replay."""

from dataclasses import replace

import pytest

from management.organizations.validation import InputError
from management.replay.request import MAX_EVENTS, ReplayRequest, check_request
from management.settings import Settings
from tests.support.views import NOW

DAY = 86_400_000
SETTINGS = Settings.model_validate(
    {
        "destinations": {
            "sentinel": {
                "endpoint": "https://a.westeurope-1.ingest.monitor.azure.com",
                "rule_id": "dcr-" + 32 * "0",
            },
            "audit": {"kind": "http", "url": "https://audit.example.com/in"},
            "lake": {"kind": "object-store", "location": "file:///tmp/lake"},
            "narrow": {
                "kind": "object-store",
                "location": "file:///tmp/narrow",
                "where": "category = 'permissions'",
            },
            "hidden": {
                "kind": "object-store",
                "location": "file:///tmp/hidden",
                "hide": {"remoteAddress": "drop"},
            },
        }
    }
)
REQUEST = ReplayRequest("sentinel", from_ms=NOW - 2 * DAY, to_ms=NOW - DAY)


def check(**changes):
    check_request(replace(REQUEST, **changes), SETTINGS.destinations, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"to_ms": None},
        {"to_ms": NOW + DAY},
        {"from_ms": None, "to_ms": None, "events": ("acme/1",)},
        {"organizations": ("acme",), "events": ("acme/1", "acme/2")},
        {"where": "category = 'permissions' AND created > collected"},
        {"destination": "audit", "to_live": True},
        {"archive": "lake", "rate": 1},
        {"archive": "narrow", "where": "category = 'permissions'"},
    ],
    ids=str,
)
def test_a_request_that_can_be_fulfilled_passes(changes):
    check(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"destination": "sentinle"}, "they have: audit, hidden, lake"),
        ({"destination": "audit"}, "no target for history"),
        ({"from_ms": None}, "give `from`"),
        ({"from_ms": NOW - DAY}, "The window is empty"),
        ({"from_ms": NOW, "to_ms": None}, "begins in the future"),
        ({"events": ("acme",)}, "acme names no event"),
        ({"events": ("acme/007",)}, "acme/007 names no event"),
        ({"events": ("acme/x",)}, "names no event"),
        ({"events": ("/1",)}, "names no event"),
        ({"events": ("beta/1",), "organizations": ("acme",)}, "none of the organizations"),
        ({"events": ("acme/1",) * (MAX_EVENTS + 1)}, "at most 10,000 single events"),
        ({"organizations": ("a b",)}, "without spaces"),
        ({"where": "categry = 'x'"}, "unknown column categry: did you mean category?"),
        ({"where": "category ="}, "The condition of `where` is not a condition in SQL"),
        ({"where": "COUNT(id) > 1"}, "looks at other events"),
        ({"where": "category"}, "not true or false"),
        ({"rate": 0}, "at least 1 event a second"),
        ({"archive": "audit"}, "of the kind http.*can be the archive of this replay: lake"),
        ({"archive": "lkae"}, "no destination lkae.*of this replay: lake"),
        ({"archive": "narrow"}, "only events that meet its condition"),
        ({"archive": "hidden"}, "hides remoteAddress"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_request_that_cannot_be_fulfilled_is_refused_with_the_cause(changes, words):
    with pytest.raises(InputError, match=words):
        check(**changes)


def test_the_organizations_of_single_events_are_enough():
    """Their partitions alone are read."""
    request = ReplayRequest("sentinel", events=("b/2", "a/1", "b/3"), organizations=("a", "b", "c"))
    assert request.keys == ["a", "b"]
    assert ReplayRequest("sentinel", organizations=("c", "a")).keys == ["a", "c"]
