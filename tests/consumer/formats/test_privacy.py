"""The privacy rules of a destination: what they hide, and what they never let pass."""

import hashlib
import hmac
import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from consumer.decoding.columns import decode
from consumer.decoding.event_schema import EVENT_COLUMNS
from consumer.formats.privacy import PrivacyError, compile_privacy, mask_address
from tests.support.messages import WRITER_SCHEMAS, event, event_lists, message

KEY = "0123456789abcdef0123456789abcdef"
ITEM = {"id": "ug:1", "name": "Zoë", "typeName": "USER", "parentId": "1", "parentName": "directory"}


def hidden(rules, *events, key=KEY):
    frame = decode([message(each) for each in events], WRITER_SCHEMAS).frame
    result = compile_privacy(rules, key if "hash" in rules.values() else None, EVENT_COLUMNS).hide(frame)
    assert result.schema == frame.schema
    return result.to_dicts()


def pseudonym(text, key=KEY):
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:24]


def test_a_column_is_dropped_hashed_or_masked():
    """The other columns keep their values."""
    before = event(1, remoteAddress="10.1.2.3", authorKey="zoe", authorAccountId="5b10", description="Zoë")
    rules = {"remoteAddress": "mask", "authorAccountId": "hash", "authorKey": "drop"}
    (after,) = hidden(rules, before)
    assert after["remoteAddress"] == "10.1.2.0"
    assert after["authorAccountId"] == pseudonym("5b10")
    assert after["authorKey"] is None
    assert (after["description"], after["id"]) == ("Zoë", 1)


def test_the_same_person_keeps_the_same_pseudonym():
    """As author, as object and as associated item; another key gives another pseudonym."""
    rules = {"authorAccountId": "hash", "ids": "hash"}
    (after,) = hidden(rules, event(1, authorAccountId="ug:1", objectItem=ITEM, associatedItems=[ITEM]))
    found = {after["authorAccountId"], after["objectItem"]["id"], after["associatedItems"][0]["id"]}
    assert found == {pseudonym("ug:1")}
    (other,) = hidden(rules, event(1, authorAccountId="ug:1"), key="another key of thirty-two characters")
    assert other["authorAccountId"] not in found


def test_people_are_hidden_and_groups_are_not():
    """An item without a type may be a person, and is hidden too; the type is compared without regard to case."""
    items = [
        ITEM,
        {**ITEM, "typeName": "user"},
        {**ITEM, "typeName": None},
        {**ITEM, "typeName": ""},
        {**ITEM, "typeName": "GROUP"},
    ]
    (after,) = hidden({"names": "hash", "ids": "drop"}, event(1, objectItem=items[4], associatedItems=items))
    assert [each["name"] for each in after["associatedItems"]] == [pseudonym("Zoë")] * 4 + ["Zoë"]
    assert [each["id"] for each in after["associatedItems"]] == [None] * 4 + ["ug:1"]
    assert after["objectItem"] == items[4]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("10.1.2.3", "10.1.2.0"),
        (" 10.1.2.3 ", "10.1.2.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:10.1.2.3", "10.1.2.0"),
        ("10.1.2.3:443", None),
        ("10.1.2.3, 10.9.9.9", None),
        ("zoe.example.com", None),
        ("", None),
    ],
)
def test_an_address_becomes_its_network(text, masked):
    """A text that is no address is dropped: it may be anything."""
    assert mask_address(text) == masked


@pytest.mark.parametrize(
    ("rules", "key", "said"),
    [
        ({"remoteAdress": "mask"}, None, "unknown column remoteAdress: did you mean remoteAddress?"),
        ({"name": "drop"}, None, "did you mean names?"),
        ({"id": "drop"}, None, "hides id, which identifies or dates the event"),
        ({"replay_id": "drop"}, None, "hides replay_id, which tells the rows of a replay from others"),
        ({"authorKey": "mask"}, None, "the rule mask for authorKey: use drop or hash"),
        ({"changedValues": "hash"}, KEY, "the rule hash for changedValues: use drop"),
        ({"authorKey": "hash"}, None, "set hide_key or hide_key_file"),
        ({"authorKey": "hash"}, "short", "hide_key has 5 characters: use at least 32"),
    ],
)
def test_rules_that_cannot_work_are_refused_with_the_correction(rules, key, said):
    with pytest.raises(PrivacyError, match=said.replace("?", r"\?")):
        compile_privacy(rules, key, EVENT_COLUMNS)


TEXTS = ["summary", "category", "description", "eventSource", "remoteAddress", "authorKey", "authorAccountId", "unmodeled"]  # fmt: skip
RULES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(TEXTS, st.sampled_from(["drop", "hash"])),
        **dict.fromkeys(["names", "ids"], st.sampled_from(["drop", "hash"])),
        **dict.fromkeys(["objectItem", "associatedItems", "changedValues"], st.just("drop")),
    },
)
ADDRESSES = st.one_of(st.none(), st.ip_addresses().map(str), st.text(max_size=5))


def twin(rules, before):
    """The same rules in plain Python."""
    after = dict(before)
    for name, rule in rules.items():
        if name in {"names", "ids"}:
            continue
        value = before[name]
        match rule:
            case "drop":
                after[name] = None
            case "hash":
                after[name] = None if value is None else pseudonym(value)
            case "mask":
                after[name] = _network(value)
    after["objectItem"] = after["objectItem"] and _hidden_item(rules, after["objectItem"])
    if after["associatedItems"] is not None:
        after["associatedItems"] = [_hidden_item(rules, each) for each in after["associatedItems"]]
    return after


def _network(text):
    try:
        address = ipaddress.ip_address((text or "").strip())
    except ValueError:
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    bits = 8 if address.version == 4 else 80
    return str(type(address)(int(address) >> bits << bits))


def _hidden_item(rules, item):
    if (item["typeName"] or "USER").upper() != "USER":
        return item
    changed = dict(item)
    for rule, field in (("names", "name"), ("ids", "id")):
        if rule in rules:
            text = item[field]
            changed[field] = None if text is None or rules[rule] == "drop" else pseudonym(text)
    return changed


@given(RULES, st.booleans(), event_lists, st.data())
@settings(deadline=None, max_examples=60)
def test_the_columns_agree_with_a_plain_twin(rules, masks, events, data):
    """The hidden columns of any events are those of plain Python, one event at a time."""
    if masks:
        rules = {**rules, "remoteAddress": "mask"}
        events = [{**each, "remoteAddress": data.draw(ADDRESSES)} for each in events]
    frame = decode([message(each) for each in events], WRITER_SCHEMAS).frame
    key = KEY if "hash" in rules.values() else None
    result = compile_privacy(rules, key, EVENT_COLUMNS).hide(frame)
    expected = decode([message(twin(rules, each)) for each in events], WRITER_SCHEMAS).frame
    assert_frame_equal(result, expected)


def test_no_events_stay_no_events():
    """A batch that the filter left empty is encoded too."""
    empty = EVENT_COLUMNS.to_frame()
    rules = {"names": "hash", "authorKey": "hash", "summary": "drop", "remoteAddress": "mask"}
    assert_frame_equal(compile_privacy(rules, KEY, EVENT_COLUMNS).hide(empty), empty)
