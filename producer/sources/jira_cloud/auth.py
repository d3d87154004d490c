import re
from dataclasses import dataclass, field

from producer.sources.errors import RequestTarget
from relay.credentials.redaction import basic_auth, encoded_forms
from relay.credentials.url_policy import AllowedHosts, split_url
from relay.errors import RelayError

_CLOUD_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an organization's Jira is asked, and as whom. It exists only for a host that credentials may go to."""

    base_url: str
    target: RequestTarget
    authorization: str = field(repr=False)
    _key: str = field(repr=False)

    def redact(self, text: str) -> str:
        """The text without the key, should an answer have given it back. To be called before the text is cut."""
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
    """The endpoint at the site itself, or through the gateway, which knows the site by its cloud id.

    Raises RelayError (UrlError for a host that credentials must not be sent to).
    """
    if not user or ":" in user or not user.isprintable():
        raise RelayError(
            f"{organization}: the user name cannot be used; give the e-mail address of the account."
        )
    if not key:
        raise RelayError(f"{organization}: the API key is empty; give the one made at id.atlassian.com.")
    base_url = _gateway_url(organization, hosts.gateway_url, cloud_id) if gateway else url.rstrip("/")
    hosts.check(base_url)
    origin, _ = split_url(base_url)
    return Endpoint(
        base_url,
        RequestTarget(organization, origin.authority, gateway),
        f"Basic {basic_auth(user, key)}",
        key,
    )


def is_cloud_id(text: str) -> bool:
    """Whether it can be a cloud id: it becomes part of a URL."""
    return _CLOUD_ID.fullmatch(text) is not None


def _gateway_url(organization: str, gateway_root: str, cloud_id: str | None) -> str:
    if cloud_id is None or not is_cloud_id(cloud_id):
        raise RelayError(
            f"{organization}: the site's cloud id is not known, so the gateway cannot be used; test the connection again."
        )
    return f"{gateway_root.rstrip('/')}/ex/jira/{cloud_id}"
