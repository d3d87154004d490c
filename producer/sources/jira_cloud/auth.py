"""The endpoint of an organization: base URL, route and login."""

import re
from dataclasses import dataclass, field

from producer.sources.errors import RequestContext
from producer.sources.jira_cloud.allowed_hosts import AllowedHosts
from relay.credentials.redaction import basic_auth, encoded_forms
from relay.errors import RelayError
from relay.url_policy import split_url

_CLOUD_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address and login of an organization's Jira. Exists only for a host that credentials may be sent to."""

    base_url: str
    context: RequestContext
    authorization: str = field(repr=False)
    _key: str = field(repr=False)

    def redact(self, text: str) -> str:
        """Return the text without the key, in case an answer echoed it. Call this before the text is truncated."""
        for form in sorted(
            encoded_forms(self.authorization.split()[-1]) | encoded_forms(self._key), key=len, reverse=True
        ):
            text = text.replace(form, "…")
        return text


def open_endpoint(
    organization: str,
    url: str,
    user: str,
    key: str,
    hosts: AllowedHosts,
    *,
    gateway: bool = False,
    cloud_id: str | None = None,
) -> Endpoint:
    """Return the endpoint at the site itself, or through the gateway, which knows the site by its cloud id.

    Raises RelayError if user, key or cloud id are unusable, and UrlError for a host that may not get credentials.
    """
    if not user or ":" in user or not user.isprintable():
        raise RelayError(
            f"{organization}: the user name cannot be used; give the e-mail address of the account."
        )
    if not key:
        raise RelayError(f"{organization}: the API key is empty; give the one made at id.atlassian.com.")
    base_url = _gateway_url(organization, hosts.gateway_for(url), cloud_id) if gateway else url.rstrip("/")
    hosts.check(base_url)
    origin, _ = split_url(base_url)
    return Endpoint(
        base_url,
        RequestContext(organization, origin.authority, gateway),
        f"Basic {basic_auth(user, key)}",
        key,
    )


def is_cloud_id(text: str) -> bool:
    """Return whether the text can be a cloud id, which becomes part of a URL."""
    return _CLOUD_ID.fullmatch(text) is not None


def _gateway_url(organization: str, gateway_root: str, cloud_id: str | None) -> str:
    if cloud_id is None or not is_cloud_id(cloud_id):
        raise RelayError(
            f"{organization}: the site's cloud id is not known, so the gateway cannot be used; test the connection again."
        )
    return f"{gateway_root.rstrip('/')}/ex/jira/{cloud_id}"
