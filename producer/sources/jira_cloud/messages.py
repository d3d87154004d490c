"""The operator's messages of Jira Cloud, beside those of every source."""

from producer.sources import errors
from producer.sources.errors import ErrorKind, Messages, RequestContext, SourceFailure

_KEYS_PAGE = "https://id.atlassian.com/manage-profile/security/api-tokens"
_ADMIN_PAGE = "https://admin.atlassian.com"
_PERMISSIONS_PAGE = "https://support.atlassian.com/jira-cloud-administration/docs/manage-global-permissions/"

# Each message whose remedy is at Atlassian ends with the address of the page for it; the console makes it a link.
MESSAGES: Messages = {
    ErrorKind.UNAVAILABLE: (
        "{host} is unavailable ({status}{quote}); the request is repeated. If this lasts, see https://status.atlassian.com."
    ),
    ErrorKind.NOT_THE_API: (
        "No Jira answers at {host} ({status}); check the URL, and whether the site still exists and has Jira: "
        f"an administrator sees the sites at {_ADMIN_PAGE}."
    ),
    ErrorKind.KEY_REFUSED: (
        "{host} refuses user and API key ({status}); check both: the key may be mistyped, revoked or expired{key_hint}. "
        f"Keys are made at {_KEYS_PAGE}."
    ),
    ErrorKind.SCOPE_MISSING: (
        "The key lacks a scope (401{quote}); make one with read:audit-log:jira and read:user:jira "
        f"(or manage:jira-configuration) at {_KEYS_PAGE}."
    ),
    ErrorKind.KEY_TYPE: (
        "{host} treats the credential as another type (403{quote}); give the e-mail address of the user and an API token, "
        f"made at {_KEYS_PAGE}."
    ),
    ErrorKind.ANONYMOUS: (
        "{host} answered, but did not accept user and API key (X-Seraph-LoginReason on a {status}); "
        "check both: the key may be revoked or expired{key_hint}. "
        f"Keys are made at {_KEYS_PAGE}."
    ),
    ErrorKind.CAPTCHA: (
        "{host} requires a CAPTCHA after too many failed logins of this user; "
        "log in to Jira once with a browser as this user, then check the API key "
        f"at {_KEYS_PAGE}."
    ),
    ErrorKind.NOT_ADMINISTRATOR: (
        "The user may not read the audit log of {host} (403{quote}); grant the global permission Administer Jira, "
        f"as {_PERMISSIONS_PAGE} explains."
    ),
    ErrorKind.FREE_PLAN: (
        "{host} has no audit log: all its Jira products are on Free plans (403); a paid plan or a trial is needed: "
        f"see {_ADMIN_PAGE}."
    ),
    ErrorKind.FORBIDDEN: (
        "Access to {host} is forbidden ({status}{quote}); check the IP allowlists "
        f"at {_ADMIN_PAGE}, proxies, and the user's rights."
    ),
    ErrorKind.OUTSIDE_WINDOW: (
        "{host} answers with records outside the asked window{quote} (time zone fault?); nothing up to now counts as read,"
        " and the window is read again. If this lasts, check proxies and the site's time zone, and ask Atlassian."
    ),
}


def make_failure(
    kind: ErrorKind, context: RequestContext, *, status: int = 0, quote: str = ""
) -> SourceFailure:
    """Return the failure of this kind, with Jira Cloud's message; see `errors.make_failure`."""
    return errors.make_failure(
        kind, context, status=status, quote=quote, messages=MESSAGES, key_hint=_gateway_hint(context)
    )


def _gateway_hint(context: RequestContext) -> str:
    if context.gateway:
        return ", or one without scopes, which works at the site itself only"
    return ", or one with scopes, which works through Atlassian's gateway only"
