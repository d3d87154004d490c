"""Google Cloud Storage by its XML API: generation 0 as condition, and requests without a login, as emulators take them."""

import json

from aiohttp import web

from simulators.object_store.bucket import Bucket, Dialect
from simulators.object_store.s3 import listing


def gcs_bucket() -> Bucket:
    """Return a bucket."""
    return Bucket(GCS, {})


def service_account(bucket: Bucket) -> str:
    """Return the key of a service account that needs no login."""
    return json.dumps(
        {
            "gcs_base_url": bucket.endpoint,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
    )


def _refused(_bucket: Bucket, _request: web.Request, _body: bytes) -> web.Response | None:
    return None


GCS = Dialect(
    refused=_refused,
    is_conditional=lambda request: request.headers.get("x-goog-if-generation-match") == "0",
    taken=(412, "PreconditionFailed"),  # Google Cloud Storage, "Request preconditions"
    absent="NoSuchKey",
    absent_bucket="NoSuchBucket",
    page=listing,
    begin=("continuation-token", "start-after"),
)
