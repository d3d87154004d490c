"""Verification of Standard Webhooks, as a receiver has it."""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence

TOLERANCE_SECONDS = 300


def is_signed(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool:
    """Return whether one of the signatures is made with one of the secrets, and not long ago."""
    message, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message or not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    signed = b"%s.%s.%s" % (message.encode(), timestamp.encode(), body)
    expected = {
        base64.b64encode(hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256))
        for secret in secrets
    }
    given = [each.removeprefix("v1,").encode() for each in headers.get("webhook-signature", "").split()]
    return any(hmac.compare_digest(one, other) for one in given for other in expected)
