"""The operator's messages of Jira Cloud, beside those of every source."""

from producer.sources import errors
from producer.sources.errors import ErrorKind, Messages, RequestContext, SourceFailure

MESSAGES: Messages = {
    ErrorKind.UNAVAILABLE: (
        "{host} is unavailable ({status}{quote}); the request is repeated. If this lasts, see https://status.atlassian.com."
    ),
    ErrorKind.NOT_THE_API: (
        "No Jira answers at {host} ({status}); check the URL, and whether the site still exists and has Jira."
    ),
    ErrorKind.SCOPE_MISSING: (
        "The key lacks a scope (401{quote}); make one with read:audit-log:jira and read:user:jira "
        "(or manage:jira-configuration)."
    ),
    ErrorKind.KEY_TYPE: (
        "{host} treats the credential as another type (403{quote}); give the e-mail address of the user and an API token."
    ),
    ErrorKind.ANONYMOUS: (
        "{host} answered, but did not accept user and API key (X-Seraph-LoginReason on a {status}); "
        "check both: the key may be revoked or expired{key_hint}."
    ),
    ErrorKind.CAPTCHA: (
        "{host} requires a CAPTCHA after too many failed logins of this user; "
        "log in once with a browser as this user, then check the API key."
    ),
    ErrorKind.NOT_ADMINISTRATOR: (
        "The user may not read the audit log of {host} (403{quote}); grant the global permission Administer Jira."
    ),
    ErrorKind.FREE_PLAN: (
        "{host} has no audit log: all its Jira products are on Free plans (403); a paid plan or a trial is needed."
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
