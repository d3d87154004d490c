import pytest

from producer.events import content_hash, same_record
from producer.state.ledger import event_keys, variant_key

EVENT = {"organization": "acme", "id": 7, "created": 5, "summary": "s", "category": None, "unmodeled": None}


def test_the_hash_of_an_event_is_that_of_its_record():
    """It changes with what the source sent, and with nothing that the relay adds or that a later schema names."""
    published = {**EVENT, "collected": 9, "mode": "late", "variant": "0" * 16, "newField": None}
    assert content_hash(published) == content_hash(EVENT) < 2**63
    for name, value in (("id", 8), ("created", 6), ("summary", "S"), ("unmodeled", '{"a":1}')):
        assert content_hash({**EVENT, name: value}) != content_hash(EVENT)


def test_the_order_of_names_makes_no_other_record():
    """A server may write the members of an object in any order."""
    one, other = ({**EVENT, "unmodeled": text} for text in ('{"a":1,"b":[2]}', '{"b":[2],"a":1}'))
    assert one != other
    assert same_record(one, other)
    assert content_hash(one) == content_hash(other)


def test_a_lone_surrogate_has_a_hash():
    assert content_hash({**EVENT, "unmodeled": '{"summary":"a\\ud800"}'}) != content_hash(EVENT)


def test_a_variant_has_a_key_that_no_id_has():
    """The key of the id comes with it."""
    assert event_keys(7, None) == (7,)
    assert event_keys(7, f"{2**63 - 1:016x}") == (7, 2**64 - 1)
    assert variant_key(0) == 2**63


@pytest.mark.parametrize("variant", ["", "1", "g" * 16, "f" * 16, "0" * 17])
def test_a_variant_that_the_relay_never_wrote_is_refused(variant):
    with pytest.raises(ValueError, match=r"variant|invalid literal"):
        event_keys(7, variant)
