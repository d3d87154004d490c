"""The hosts that API keys of Jira Cloud may be sent to.

Keys go to Atlassian's domains, to this machine and to hosts that an operator allows, and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.url_policy import Origin, UrlError, parse_origin, redacted, split_host, split_url

GOVERNMENT_GATEWAY_URL = "https://api.atlassian-us-gov-mod.com"
_GOVERNMENT_DOMAIN = "atlassian-us-gov-mod.net"
"""Sites of Atlassian Government Cloud: support.atlassian.com, "Get access to the Atlassian Government environment"."""
_SITE_DOMAINS = {"atlassian.net", _GOVERNMENT_DOMAIN}


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The hosts that a process may send keys to, by its settings."""

    gateway_url: str
    allowed_hosts: Sequence[str] = ()
    """Each entry is a host, for any port, or host:port."""

    def gateway_for(self, site_url: str) -> str:
        """Return the gateway that knows a site: Government Cloud has its own."""
        site, _ = split_url(site_url)
        return GOVERNMENT_GATEWAY_URL if _site_domain(site.host) == _GOVERNMENT_DOMAIN else self.gateway_url

    def check(self, url: str) -> None:
        """Return only if a credential may be sent to this URL. Raises UrlError otherwise."""
        if not url.isascii():  # two libraries may encode such a host in two ways
            raise UrlError(f"{redacted(url)} is not ASCII: write its host in the form xn--….")
        origin, _ = split_url(url)
        if not origin.confidential:
            raise UrlError(
                f"{origin.url} is plain http: use https, since credentials are sent encrypted only."
            )
        if not self._is_allowed(origin):
            whole = f" The site {origin.host} has the URL https://{origin.host}.atlassian.net."
            raise UrlError(
                f"{origin.authority} may not get credentials: it is not a site at *.atlassian.net "
                f"or *.{_GOVERNMENT_DOMAIN}, nor their gateway.{'' if {'.', ':'} & set(origin.host) else whole}"
                " If it is your Jira, add it to producer.allowed_hosts."
            )

    def _is_allowed(self, origin: Origin) -> bool:
        return (
            _site_domain(origin.host) is not None
            or origin.loopback
            or origin in {parse_origin(self.gateway_url), parse_origin(GOVERNMENT_GATEWAY_URL)}
            or any(
                origin.host == host and port in {None, origin.port_number}
                for host, port in self._parsed_hosts()
            )
        )

    def _parsed_hosts(self) -> list[tuple[str, int | None]]:
        return [split_host(entry) for entry in self.allowed_hosts]


def _site_domain(host: str) -> str | None:
    """Return the domain of Atlassian's that a host is a site of. None: it is not a site."""
    site, _, domain = host.partition(".")
    return domain if domain in _SITE_DOMAINS and site else None
