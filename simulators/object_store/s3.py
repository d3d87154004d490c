"""Amazon S3: signatures of version 4, `If-None-Match: *`, ListObjectsV2."""

import ssl
import time
from datetime import UTC, datetime

from aiohttp import web

from simulators.object_store.bucket import Bucket, Dialect, error
from simulators.object_store.signature import access_key, is_signed

MAX_SKEW_SECONDS = 900


def s3_bucket(tls: ssl.SSLContext | None = None) -> Bucket:
    """Return a bucket with one access key."""
    return Bucket(S3, {"AKIDEXAMPLE": "a-long-secret-key"}, tls=tls)


def credential(bucket: Bucket) -> str:
    """Return a credentials file with the first key, as AWS documents it."""
    key, secret = next(iter(bucket.keys.items()))
    return f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"


def _refused(bucket: Bucket, request: web.Request, body: bytes) -> web.Response | None:
    secret = bucket.keys.get(access_key(request) or "")
    if secret is None:
        return error(403, "InvalidAccessKeyId")
    if not is_signed(request, body, secret):
        return error(403, "SignatureDoesNotMatch")
    signed = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(signed.timestamp() - time.time()) > MAX_SKEW_SECONDS:
        return error(403, "RequestTimeTooSkewed")
    return None


def listing(keys: list[str], mark: str | None) -> str:
    """Return a page of ListObjectsV2."""
    folders = "".join(
        f"<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>" for key in keys if key[-1] == "/"
    )
    rows = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-11-30T00:00:00.000Z</LastModified><ETag>x</ETag><Size>1</Size></Contents>"
        for key in keys
        if key[-1] != "/"
    )
    token = "" if mark is None else f"<NextContinuationToken>{mark}</NextContinuationToken>"
    truncated = str(mark is not None).lower()
    return f"<ListBucketResult><KeyCount>{len(keys)}</KeyCount><IsTruncated>{truncated}</IsTruncated>{token}{rows}{folders}</ListBucketResult>"


S3 = Dialect(
    refused=_refused,
    is_conditional=lambda request: request.headers.get("If-None-Match") == "*",
    taken=(412, "PreconditionFailed"),  # AWS, "How to prevent object overwrites with conditional writes"
    absent="NoSuchKey",
    absent_bucket="NoSuchBucket",
    page=listing,
    begin=("continuation-token", "start-after"),
)
