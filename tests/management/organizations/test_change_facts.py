"""What the history of changes says of a credential, without a key: pure."""

from dataclasses import replace

import pytest

from management.organizations.changes import RESEALED, change_facts
from tests.support.views import organization

SEALED = organization(credential_ciphertext=b"\x01abcdefgh-first hidden")
OTHER = replace(SEALED, credential_ciphertext=b"\x01abcdefgh-other hidden")
REFERENCE = organization(credential_reference="env:RELAY_KEY_A", credential_ciphertext=b"\x01abcdefgh-hidden")


@pytest.mark.parametrize(
    ("before", "after", "action", "credentials"),
    [
        (SEALED, OTHER, "modified", ("encrypted", "encrypted, replaced by another key")),
        (SEALED, SEALED, "modified", ("encrypted", "encrypted")),
        (SEALED, OTHER, RESEALED, ("encrypted", "encrypted")),
        (SEALED, REFERENCE, "modified", ("encrypted", "env:RELAY_KEY_A")),
        (
            REFERENCE,
            replace(REFERENCE, credential_ciphertext=b"\x01abcdefgh-hidden too"),
            "modified",
            2 * ("env:RELAY_KEY_A",),
        ),
        (None, SEALED, "added", (None, "encrypted")),
        (SEALED, None, "deleted", ("encrypted", None)),
    ],
    ids=["another key", "the same", "sealed again", "a reference", "the same reference", "added", "deleted"],
)
def test_another_key_is_a_difference_and_a_new_seal_of_the_same_key_is_none(
    before, after, action, credentials
):
    """The facts hold no part of a key or a seal."""
    facts = change_facts(before, after, action)
    assert tuple(each and each["credential"] for each in facts) == credentials
    assert "hidden" not in str(facts)
