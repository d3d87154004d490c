"""Exports of day seals as a forger makes them, and what both verifiers say."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from management.completeness.signature import SigningKey
from management.completeness.verifier import RefusedError, Verified, verify
from tests.support import plain_verifier
from tests.support.day_seals import KEY


def signed_anew(
    data: bytes, change: Callable[[dict[str, Any]], object], number: int, key: SigningKey = KEY
) -> bytes:
    """Return an export whose line `number` a forger has changed and signed with a key."""
    lines = data.splitlines()
    statement = json.loads(lines[number - 1][129:])
    change(statement)
    statement.pop("key")
    lines[number - 1] = key.sign(statement).line[:-1]
    return b"".join(line + b"\n" for line in lines)


def verified(data: bytes, *trusted: str) -> Verified:
    """Return what an export proves; the second verifier accepts it too."""
    found = verify(data, trusted or None)
    assert plain_verifier.accepts(data, {*trusted} or None)
    return found


def refusal(data: bytes, *trusted: str) -> str:
    """Return why an export is refused; the second verifier refuses it too."""
    with pytest.raises(RefusedError) as caught:
        verify(data, trusted or None)
    assert not plain_verifier.accepts(data, {*trusted} or None)
    return str(caught.value)
