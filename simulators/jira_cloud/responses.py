"""Refusals of Jira Cloud, word for word as far as the words are known."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from simulators import faults


@dataclass(frozen=True, slots=True)
class CannedResponse:
    """A fixed answer of Jira, to be sent as a response or played as a fault."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def to_response(self) -> web.Response:
        return web.Response(
            status=self.status, text=self.body, headers=self.headers, content_type=self.content_type
        )

    def to_fault(self, name: str) -> faults.Fault:
        return faults.respond_with(
            self.status, self.body, headers=self.headers, content_type=self.content_type, name=name
        )


def error_collection(status: int, message: str, headers: Mapping[str, str] | None = None) -> CannedResponse:
    """Return an ErrorCollection of Jira's REST specification."""
    body = json.dumps({"errorMessages": [message], "errors": {}}, ensure_ascii=False)
    return CannedResponse(status, body, headers or {})


_FAILED = {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"}
_DENIED = {"X-Seraph-LoginReason": "AUTHENTICATION_DENIED"}
_AUTHENTICATE = "Client must be authenticated to access this resource."

NO_CREDENTIALS = CannedResponse(401, _AUTHENTICATE, content_type="text/plain")
WRONG_CREDENTIALS = CannedResponse(401, _AUTHENTICATE, _FAILED, "text/plain")
WRONG_CREDENTIALS_JSON = error_collection(401, _AUTHENTICATE, _FAILED)
CAPTCHA = error_collection(403, "Basic Authentication Failure - Reason : AUTHENTICATION_DENIED", _DENIED)
CONNECT_TOKEN = CannedResponse(403, '{"error":"Failed to parse Connect Session Auth Token"}')
GATEWAY_WRONG_CREDENTIALS = CannedResponse(401, '{"code":401,"message":"Unauthorized"}')
GATEWAY_SCOPE = CannedResponse(401, '{"code":401,"message":"Unauthorized; scope does not match"}')
GATEWAY_NO_SITE = CannedResponse(404, '{"code":404,"message":"Not Found"}')
NOT_ADMINISTRATOR = error_collection(403, "You do not have permission to view the audit log.")
FREE_PLAN = error_collection(
    403,
    "Audit logs aren't available for this site as all of its Jira Cloud products are on Free plans.",
)
NOT_FOUND = error_collection(404, "Not Found")
ANONYMOUS = CannedResponse(200, '{"offset":0,"limit":1000,"total":0,"records":[]}', _FAILED)
HTML = CannedResponse(
    200,
    "<!DOCTYPE html><html><head><title>Log in</title></head><body><form>Log in to continue</form></body></html>",
    content_type="text/html",
)
