"""Token endpoints: Entra ID's, and those of App Service and IMDS for managed identities, which azure-identity can use."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from simulators.fault_script import FaultScript

AUDIENCE = "https://monitor.azure.com"
"""The public cloud's scope, without `/.default`."""

_IDENTITY_VERSIONS = {"2019-08-01", "2018-02-01"}


@dataclass(frozen=True, slots=True)
class AccessToken:
    client: str
    audience: str
    expires: float


class IdentityService:
    """An application and a managed identity, and every token issued to them."""

    def __init__(self, now: Callable[[], float], rng: random.Random) -> None:
        self._now = now
        self._random = rng
        self.faults = FaultScript()
        self.token_requests = 0
        """Count of token requests, refused ones included."""
        self.token_seconds = 3599.0
        """Lifetime of a token; azure-identity requests a new one when less than 300 s are left."""
        self.tenant = self._guid()
        self.application_client = self._guid()
        self.client_secret = f"secret-{self._hex(32)}"
        self.assertion = f"assertion-{self._hex(32)}"
        """The federated token of a workload identity, which signs in the same application."""
        self.managed_identity_client = self._guid()
        self.header = f"header-{self._hex(32)}"
        """The value of X-IDENTITY-HEADER that App Service requires."""
        self.publishers = {self.application_client, self.managed_identity_client}
        """Client ids with the role Monitoring Metrics Publisher on the rule."""
        self._tokens: dict[str, AccessToken] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the token endpoints."""
        return [
            web.post("/{tenant}/oauth2/v2.0/token", self._with_faults(self._entra_token)),
            web.get("/msi/token", self._with_faults(self._app_service_token)),
            web.get("/metadata/identity/oauth2/token", self._with_faults(self._imds_token)),
        ]

    def secrets(self) -> list[str]:
        """Return every secret and token, none of which may appear in any output of the relay."""
        return [self.client_secret, self.assertion, self.header, *self._tokens]

    def revoke(self) -> None:
        """Let every token issued so far expire now."""
        for text, token in self._tokens.items():
            self._tokens[text] = AccessToken(token.client, token.audience, self._now())

    def authenticate(self, authorization: str | None, audience: str = AUDIENCE) -> str:
        """Return the client id of an Authorization header. Raises PermissionError with the reason."""
        scheme, _, text = (authorization or "").partition(" ")
        token = self._tokens.get(text)
        if scheme.lower() != "bearer" or not text:
            raise PermissionError("The request has no bearer token.")
        if token is None:
            raise PermissionError("The token is not one of this authority.")
        if token.expires <= self._now():
            raise PermissionError("The token has expired.")
        if token.audience != audience:
            raise PermissionError(f"The token is for another audience: '{token.audience}'.")
        return token.client

    def _with_faults(
        self, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.token_requests += 1
            fault = self.faults.next_fault(request)
            return await (fault.play(request, lambda: handler(request)) if fault else handler(request))

        return handle

    async def _entra_token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if request.match_info["tenant"] != self.tenant:
            return _entra_error(400, "invalid_request", 90002, "The tenant was not found.")
        if form.get("grant_type") != "client_credentials":
            return _entra_error(400, "unsupported_grant_type", 70003, "The grant type is not supported.")
        if form.get("client_id") != self.application_client:
            return _entra_error(
                400, "unauthorized_client", 700016, "The application was not found in the directory."
            )
        if not self._has_valid_proof(form):
            return _entra_error(401, "invalid_client", 7000215, "Invalid client secret provided.")
        resource, _, suffix = form.get("scope", "").rpartition("/")
        if suffix != ".default":
            return _entra_error(400, "invalid_scope", 1002012, "The scope does not end in /.default.")
        seconds = int(self.token_seconds)
        return web.json_response(
            {
                "token_type": "Bearer",
                "expires_in": seconds,
                "ext_expires_in": seconds,
                "access_token": self._issue(self.application_client, resource),
            }
        )

    def _has_valid_proof(self, form: dict[str, str]) -> bool:
        if "client_assertion" in form:
            return form["client_assertion"] == self.assertion
        return form.get("client_secret") == self.client_secret

    async def _app_service_token(self, request: web.Request) -> web.Response:
        return self._managed_identity_token(request, request.headers.get("X-IDENTITY-HEADER") == self.header)

    async def _imds_token(self, request: web.Request) -> web.Response:
        return self._managed_identity_token(request, request.headers.get("Metadata", "").lower() == "true")

    def _managed_identity_token(self, request: web.Request, trusted: bool) -> web.Response:
        resource = request.query.get("resource", "")
        if not trusted or request.query.get("api-version") not in _IDENTITY_VERSIONS:
            return web.json_response({"error": "invalid_request"}, status=400)
        known = request.query.get("client_id", self.managed_identity_client) == self.managed_identity_client
        if not known or not urlsplit(resource).netloc:
            return web.json_response(
                {"error": "invalid_request", "error_description": "Identity not found"}, status=400
            )
        text = self._issue(self.managed_identity_client, resource)
        return web.json_response(
            {
                "access_token": text,
                "expires_in": str(int(self.token_seconds)),
                "expires_on": str(int(self._tokens[text].expires)),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": self.managed_identity_client,
            }
        )

    def _issue(self, client: str, resource: str) -> str:
        text = f"token-{self._hex(64)}"
        self._tokens[text] = AccessToken(client, resource.rstrip("/"), self._now() + self.token_seconds)
        return text

    def _hex(self, digits: int) -> str:
        return f"{self._random.getrandbits(digits * 4):0{digits}x}"

    def _guid(self) -> str:
        digits = self._hex(32)
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _entra_error(status: int, error: str, number: int, description: str) -> web.Response:
    return web.json_response(
        {
            "error": error,
            "error_description": f"AADSTS{number}: {description}",
            "error_codes": [number],
        },
        status=status,
    )
