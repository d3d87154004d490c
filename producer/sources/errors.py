"""Why an API gives no records: each cause, the action it asks for, and the operator's message."""

from dataclasses import dataclass
from enum import StrEnum


class RetryAction(StrEnum):
    WAIT = "wait"
    """Send nothing to the whole site for at least `retry_after_seconds`, then try again."""
    RETRY = "retry"
    """The cause may pass by itself: try again, waiting longer each time."""
    FIX = "fix"
    """An operator must act: try again seldom, and at once when settings or key change."""
    REDUCE_PAGE = "smaller"
    """Request fewer records, at once."""


class BackoffScope(StrEnum):
    """Who waits after a failure."""

    SITE = "site"
    """All organizations of the site."""
    ORGANIZATION = "organization"
    """All walks of the organization."""
    WALK = "walk"
    """The walk whose request failed."""


class ErrorKind(StrEnum):
    RATE_LIMITED = "rate-limited"
    UNAVAILABLE = "unavailable"
    UNREACHABLE = "unreachable"
    BROKEN_ANSWER = "broken-answer"
    TOO_LARGE = "too-large"
    HOST_UNKNOWN = "host-unknown"
    TLS = "tls"
    REDIRECTED = "redirected"
    NOT_JIRA = "not-jira"
    KEY_REFUSED = "key-refused"
    SCOPE_MISSING = "scope-missing"
    KEY_TYPE = "key-type"
    ANONYMOUS = "anonymous"
    CAPTCHA = "captcha"
    NOT_ADMINISTRATOR = "not-administrator"
    FREE_PLAN = "free-plan"
    FORBIDDEN = "forbidden"
    BAD_REQUEST = "bad-request"
    UNEXPECTED = "unexpected"
    NO_KEY = "no-key"
    OTHER_SITE = "other-site"
    OUTSIDE_WINDOW = "outside-window"


@dataclass(frozen=True, slots=True)
class SourceFailure:
    """Why there are no records. `message` is for an operator: what happened, to which organization, what to do."""

    kind: ErrorKind
    message: str
    retry_after_seconds: float | None = None
    date_ms: int | None = None

    @property
    def action(self) -> RetryAction:
        if self.retry_after_seconds is not None:
            return RetryAction.WAIT
        return _CATALOGUE[self.kind][0]

    @property
    def may_concern_records(self) -> bool:
        """Whether the cause may lie in the records that were requested, so that other requests are worth a try."""
        return self.action is RetryAction.RETRY and self.kind in _MAY_CONCERN_RECORDS

    @property
    def scope(self) -> BackoffScope:
        """Who waits: the site where it asked for a wait, the organization where its credential is refused, else the walk."""
        if self.action is RetryAction.WAIT:
            return BackoffScope.SITE
        return BackoffScope.ORGANIZATION if self.kind in _CONCERN_THE_ORGANIZATION else BackoffScope.WALK


class SourceError(Exception):
    """A source could not be read. `failure` says why and what to do; the source waits `retry_seconds` by itself."""

    def __init__(self, failure: SourceFailure, retry_seconds: float = 0.0) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.retry_seconds = retry_seconds

    @property
    def kind(self) -> ErrorKind:
        return self.failure.kind

    @property
    def action(self) -> RetryAction:
        return self.failure.action


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """The host of a request, as shown to an operator, and the organization it is for."""

    organization: str
    host: str
    gateway: bool = False


_CATALOGUE = {
    ErrorKind.RATE_LIMITED: (
        RetryAction.WAIT,
        "{host} is rate limiting the relay (429{quote}); polling resumes after the delay it asked for.",
    ),
    ErrorKind.UNAVAILABLE: (
        RetryAction.RETRY,
        "{host} is unavailable ({status}{quote}); the request is repeated. If this lasts, see https://status.atlassian.com.",
    ),
    ErrorKind.UNREACHABLE: (
        RetryAction.RETRY,
        "{host} cannot be reached or does not answer{quote}; the request is repeated. If this lasts, check network and proxy.",
    ),
    ErrorKind.BROKEN_ANSWER: (
        RetryAction.RETRY,
        (
            "{host} answered with something that is no page of audit records{quote}; the request is repeated. "
            "If this lasts, check whether a proxy or a login page answers in Jira's place."
        ),
    ),
    ErrorKind.TOO_LARGE: (
        RetryAction.REDUCE_PAGE,
        "An answer of {host} is too large{quote}; the next request asks for fewer records.",
    ),
    ErrorKind.HOST_UNKNOWN: (
        RetryAction.RETRY,
        "The host {host} is unknown to DNS; check the URL, or the DNS of this machine.",
    ),
    ErrorKind.TLS: (
        RetryAction.FIX,
        "{host} has no certificate that this machine trusts{quote}; if a proxy opens TLS, add its CA to SSL_CERT_FILE.",
    ),
    ErrorKind.REDIRECTED: (
        RetryAction.FIX,
        "{host} redirects ({status}{quote}), and the key was not sent there; if the site has moved, change the URL.",
    ),
    ErrorKind.NOT_JIRA: (
        RetryAction.FIX,
        "No Jira answers at {host} ({status}); check the URL, and whether the site still exists and has Jira.",
    ),
    ErrorKind.KEY_REFUSED: (
        RetryAction.FIX,
        "{host} refuses user and API key ({status}); check both: the key may be mistyped, revoked or expired{key_hint}.",
    ),
    ErrorKind.SCOPE_MISSING: (
        RetryAction.FIX,
        (
            "The key lacks a scope (401{quote}); make one with read:audit-log:jira and read:user:jira "
            "(or manage:jira-configuration)."
        ),
    ),
    ErrorKind.KEY_TYPE: (
        RetryAction.FIX,
        "{host} takes the credential for another type (403{quote}); give the e-mail address of the user and an API token.",
    ),
    ErrorKind.ANONYMOUS: (
        RetryAction.FIX,
        (
            "{host} answered, but did not accept user and API key (X-Seraph-LoginReason on a {status}); "
            "check both: the key may be revoked or expired{key_hint}."
        ),
    ),
    ErrorKind.CAPTCHA: (
        RetryAction.FIX,
        (
            "{host} requires a CAPTCHA after too many failed logins of this user; "
            "log in once with a browser as this user, then check the API key."
        ),
    ),
    ErrorKind.NOT_ADMINISTRATOR: (
        RetryAction.FIX,
        "The user may not read the audit log of {host} (403{quote}); grant the global permission Administer Jira.",
    ),
    ErrorKind.FREE_PLAN: (
        RetryAction.FIX,
        "{host} has no audit log: all its Jira products are on Free plans (403); a paid plan or a trial is needed.",
    ),
    ErrorKind.FORBIDDEN: (
        RetryAction.FIX,
        "Access to {host} is forbidden ({status}{quote}); check IP allow lists, proxies, and the user's rights.",
    ),
    ErrorKind.BAD_REQUEST: (
        RetryAction.FIX,
        "{host} rejects the relay's request ({status}{quote}); its API may have changed: look for a newer relay.",
    ),
    ErrorKind.NO_KEY: (RetryAction.FIX, "The API key for {host} is not available{quote}."),
    ErrorKind.OTHER_SITE: (
        RetryAction.FIX,
        (
            "The URL of {host} now leads to another Jira site than before, and nothing is read from it; "
            "if that is intended, delete the organization and add it under another name."
        ),
    ),
    ErrorKind.OUTSIDE_WINDOW: (
        RetryAction.FIX,
        (
            "{host} answers with records outside the asked window{quote} (time zone fault?); nothing up to now counts as read,"
            " and the window is read again. If this lasts, check proxies and the site's time zone, and ask Atlassian."
        ),
    ),
    ErrorKind.UNEXPECTED: (
        RetryAction.RETRY,
        "{host} answered with an unexpected status ({status}{quote}); the request is repeated.",
    ),
}


_MAY_CONCERN_RECORDS = {
    ErrorKind.UNAVAILABLE,
    ErrorKind.UNREACHABLE,
    ErrorKind.BROKEN_ANSWER,
    ErrorKind.UNEXPECTED,
}

_CONCERN_THE_ORGANIZATION = {
    ErrorKind.KEY_REFUSED,
    ErrorKind.KEY_TYPE,
    ErrorKind.ANONYMOUS,
    ErrorKind.CAPTCHA,
    ErrorKind.SCOPE_MISSING,
    ErrorKind.NO_KEY,
    ErrorKind.OTHER_SITE,
}
"""One answer of these kinds holds for each request: the credential is refused, or the URL leads to another site."""


def make_failure(
    kind: ErrorKind, target: RequestTarget, *, status: int = 0, quote: str = ""
) -> SourceFailure:
    """Return the failure of this kind, with its message. `quote` becomes part of it and must hold no secret."""
    quoted = f": {quote}" if quote else ""
    text = _CATALOGUE[kind][1].format(
        host=target.host, status=status, quote=quoted, key_hint=_gateway_hint(target)
    )
    return SourceFailure(kind, f"{target.organization}: {text}")


def _gateway_hint(target: RequestTarget) -> str:
    if target.gateway:
        return ", or one without scopes, which works at the site itself only"
    return ", or one with scopes, which works through Atlassian's gateway only"
