"""AWS Signature Version 4 of a request, as the server computes it (AWS documentation, "Authenticating Requests: Using the Authorization Header")."""

import hashlib
import hmac
import re
from urllib.parse import parse_qsl, quote

from aiohttp import web

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)


def access_key(request: web.Request) -> str | None:
    """Return the access key that a request names; None: it has no signature."""
    found = _HEADER.fullmatch(request.headers.get("Authorization", ""))
    return found[1] if found else None


def is_signed(request: web.Request, body: bytes, secret_key: str) -> bool:
    """Whether the signature of a request is right."""
    found = _HEADER.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        return False
    _, scope, names, signature = found.groups()
    payload = request.headers.get("x-amz-content-sha256", "")
    if payload != "UNSIGNED-PAYLOAD" and payload != hashlib.sha256(body).hexdigest():
        return False
    query = sorted(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
    canonical = "\n".join(
        (
            request.method,
            request.rel_url.raw_path,
            "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query),
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names.split(";")),
            "",
            names,
            payload,
        )
    )
    text = "\n".join(
        (
            "AWS4-HMAC-SHA256",
            request.headers.get("x-amz-date", ""),
            scope,
            hashlib.sha256(canonical.encode()).hexdigest(),
        )
    )
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signature)
