"""The form of an operator's input for an organization on Jira Cloud."""

from producer.sources.contract import InputRules
from relay.url_policy import UrlError, organization_name, parse_origin, split_url

_ACCOUNT_DOMAINS = ("atlassian.com", "atlassian-us-gov-mod.com")
"""Atlassian's gateways and account pages: api, admin, id, home and others. No site has such a host."""
_NOT_IN_AN_ADDRESS = set(':<>,; "')


def parse_site(text: str) -> str:
    """Return a Jira site's URL in normal form. Raises UrlError, which explains an address of Atlassian's that is not a site's."""
    origin, _ = split_url(text)
    if any(origin.host == domain or origin.host.endswith(f".{domain}") for domain in _ACCOUNT_DOMAINS):
        raise UrlError(
            f"{origin.host} is Atlassian's gateway or a page of an account, not a Jira site: use the address that a browser"
            " shows in Jira, up to its host, such as https://acme.atlassian.net. The relay finds the gateway by itself."
        )
    return parse_origin(text).url


def is_address(user: str) -> bool:
    """Return whether a user may be an e-mail address alone, without a name or a password beside it."""
    return bool(user) and not set(user) & _NOT_IN_AN_ADDRESS


INPUT_RULES = InputRules(
    parse_url=parse_site,
    default_name=organization_name,
    is_user=is_address,
    user_advice="give the e-mail address of the account alone",
    max_backfill_days=180,  # the retention of Jira's audit log that Atlassian documents
)
