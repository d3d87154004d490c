"""Signature version 4 of requests to AWS ("AWS Signature Version 4 for API requests")."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """A key of AWS. `session`: the token of a temporary key; empty for a lasting one. `expires`: seconds since 1970."""

    key_id: str
    secret: str = field(repr=False)
    session: str = field(default="", repr=False)
    expires: float = float("inf")


def signed_headers(
    credentials: AwsCredentials,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    region: str,
    service: str,
    now: float,
) -> dict[str, str]:
    """Return the headers with host, time and signature. The URL has a path of `/`, and no query. `now`: seconds since 1970."""
    time = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    given = {**headers, "Host": urlsplit(url).netloc, "X-Amz-Date": time}
    if credentials.session:
        given["X-Amz-Security-Token"] = credentials.session
    canonical = sorted((name.lower(), value.strip()) for name, value in given.items())
    names = ";".join(name for name, _ in canonical)
    request = "\n".join(
        [
            method,
            "/",
            "",
            *(f"{name}:{value}" for name, value in canonical),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{credentials.secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    given["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.key_id}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    )
    return given
