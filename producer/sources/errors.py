"""Why an API gives no records: each cause, the action it asks for, and the operator's message.

The meaning and the first command of each kind, for the runbook, are in `management/runbook/explanations.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class RetryAction(StrEnum):
    WAIT = "wait"
    """Send nothing to the whole site for at least `retry_after_seconds`, then try again."""
    RETRY = "retry"
    """The cause may pass by itself: try again, waiting longer each time."""
    FIX = "fix"
    """An operator must act: try again seldom, and at once when settings or key change."""
    REDUCE_PAGE = "reduce-page"
    """Request fewer records, at once."""


class BackoffScope(StrEnum):
    """Who waits after a failure."""

    SITE = "site"
    """All organizations of the site."""
    ORGANIZATION = "organization"
    """All requests of the organization."""
    PURPOSE = "purpose"
    """The organization's requests of the same purpose."""


class ErrorKind(StrEnum):
    RATE_LIMITED = "rate-limited"
    UNAVAILABLE = "unavailable"
    UNREACHABLE = "unreachable"
    BROKEN_ANSWER = "broken-answer"
    TOO_LARGE = "too-large"
    HOST_UNKNOWN = "host-unknown"
    TLS = "tls"
    REDIRECTED = "redirected"
    NOT_THE_API = "not-the-api"
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
class Consequence:
    """What the relay does after a failure of one kind."""

    action: RetryAction
    scope: BackoffScope = BackoffScope.PURPOSE
    """SITE: the API asks for a wait. ORGANIZATION: the credential is refused, or the URL leads to another site."""
    may_concern_records: bool = False
    """Whether the cause may lie in the requested records, so that smaller windows are worth a try."""
    login_failed: bool = False
    """Whether an API may lock the user out after a few such answers, as with a CAPTCHA."""


_MAY_CONCERN_RECORDS = Consequence(RetryAction.RETRY, may_concern_records=True)
_LOGIN_FAILED = Consequence(RetryAction.FIX, BackoffScope.ORGANIZATION, login_failed=True)

CONSEQUENCES: Mapping[ErrorKind, Consequence] = {
    ErrorKind.RATE_LIMITED: Consequence(RetryAction.WAIT, BackoffScope.SITE),
    ErrorKind.UNAVAILABLE: _MAY_CONCERN_RECORDS,
    ErrorKind.UNREACHABLE: _MAY_CONCERN_RECORDS,
    ErrorKind.BROKEN_ANSWER: _MAY_CONCERN_RECORDS,
    ErrorKind.TOO_LARGE: Consequence(RetryAction.REDUCE_PAGE),
    ErrorKind.HOST_UNKNOWN: Consequence(RetryAction.RETRY),
    ErrorKind.TLS: Consequence(RetryAction.FIX),
    ErrorKind.REDIRECTED: Consequence(RetryAction.FIX),
    ErrorKind.NOT_THE_API: Consequence(RetryAction.FIX),
    ErrorKind.KEY_REFUSED: _LOGIN_FAILED,
    ErrorKind.SCOPE_MISSING: Consequence(RetryAction.FIX, BackoffScope.ORGANIZATION),
    ErrorKind.KEY_TYPE: _LOGIN_FAILED,
    ErrorKind.ANONYMOUS: _LOGIN_FAILED,
    ErrorKind.CAPTCHA: _LOGIN_FAILED,
    ErrorKind.NOT_ADMINISTRATOR: Consequence(RetryAction.FIX),
    ErrorKind.FREE_PLAN: Consequence(RetryAction.FIX),
    ErrorKind.FORBIDDEN: Consequence(RetryAction.FIX),
    ErrorKind.BAD_REQUEST: Consequence(RetryAction.FIX),
    ErrorKind.UNEXPECTED: _MAY_CONCERN_RECORDS,
    ErrorKind.NO_KEY: Consequence(RetryAction.FIX, BackoffScope.ORGANIZATION),
    ErrorKind.OTHER_SITE: Consequence(RetryAction.FIX, BackoffScope.ORGANIZATION),
    ErrorKind.OUTSIDE_WINDOW: Consequence(RetryAction.FIX),
}
"""The one declaration of each kind; a test refuses a kind without one."""


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
        return CONSEQUENCES[self.kind].action

    @property
    def may_concern_records(self) -> bool:
        """Whether the cause may lie in the records that were requested, so that other requests are worth a try."""
        return self.action is RetryAction.RETRY and CONSEQUENCES[self.kind].may_concern_records

    @property
    def scope(self) -> BackoffScope:
        """Who waits: by the kind, but the whole site where the answer itself asked for a wait."""
        if self.retry_after_seconds is not None:
            return BackoffScope.SITE
        return CONSEQUENCES[self.kind].scope

    @property
    def login_failed(self) -> bool:
        """Whether an API may lock the user out after a few such answers, so that the first wait is longer."""
        return CONSEQUENCES[self.kind].login_failed


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
class RequestContext:
    """The host of a request, as shown to an operator, and the organization it is for."""

    organization: str
    host: str
    gateway: bool = False


Messages = Mapping[ErrorKind, str]
"""An operator's message by kind, with the places {host}, {status}, {quote} and {key_hint}."""

MESSAGES: Messages = {
    ErrorKind.RATE_LIMITED: "{host} is rate limiting the relay (429{quote}); polling resumes after the delay it asked for.",
    ErrorKind.UNAVAILABLE: "{host} is unavailable ({status}{quote}); the request is repeated. If this lasts, ask its support.",
    ErrorKind.UNREACHABLE: (
        "{host} cannot be reached or does not answer{quote}; the request is repeated. If this lasts, check network and proxy."
    ),
    ErrorKind.BROKEN_ANSWER: (
        "{host} answered with a body that is not a page of audit records{quote}; the request is repeated. "
        "If this lasts, check whether a proxy or a login page answers in its place."
    ),
    ErrorKind.TOO_LARGE: "An answer of {host} is too large{quote}; the next request asks for fewer records.",
    ErrorKind.HOST_UNKNOWN: "The host {host} is unknown to DNS; check the URL, or the DNS of this machine.",
    ErrorKind.TLS: (
        "{host} has no certificate that this machine trusts{quote}; if a proxy opens TLS, add its CA to SSL_CERT_FILE."
    ),
    ErrorKind.REDIRECTED: (
        "{host} redirects ({status}{quote}), and the key was not sent there; if the site has moved, change the URL."
    ),
    ErrorKind.KEY_REFUSED: (
        "{host} refuses user and API key ({status}); check both: the key may be mistyped, revoked or expired{key_hint}."
    ),
    ErrorKind.FORBIDDEN: (
        "Access to {host} is forbidden ({status}{quote}); check IP allow lists, proxies, and the user's rights."
    ),
    ErrorKind.BAD_REQUEST: (
        "{host} rejects the relay's request ({status}{quote}); its API may have changed: look for a newer relay."
    ),
    ErrorKind.NO_KEY: "The API key for {host} is not available{quote}. Check it with `jira-relay check`.",
    ErrorKind.OTHER_SITE: (
        "The URL of {host} now leads to another site than before, and nothing is read from it; "
        "if that is intended, delete the organization and add it under another name."
    ),
    ErrorKind.OUTSIDE_WINDOW: (
        "{host} answers with records outside the asked window{quote} (time zone fault?); nothing up to now counts as read,"
        " and the window is read again. If this lasts, check proxies and the site's time zone, and ask its support."
    ),
    ErrorKind.UNEXPECTED: "{host} answered with an unexpected status ({status}{quote}); the request is repeated.",
}
"""The messages that hold for every source. A source has those of its own kinds, and may replace these."""


def make_failure(
    kind: ErrorKind,
    context: RequestContext,
    *,
    status: int = 0,
    quote: str = "",
    messages: Messages = MESSAGES,
    key_hint: str = "",
) -> SourceFailure:
    """Return the failure of this kind, with its message. `quote` becomes part of it and must hold no secret.

    `messages`: the source's; a kind that it leaves out has the message of every source. `key_hint`: another cause of a refused
    key.
    """
    text = (messages.get(kind) or MESSAGES[kind]).format(
        host=context.host, status=status, quote=f": {quote}" if quote else "", key_hint=key_hint
    )
    return SourceFailure(kind, f"{context.organization}: {text}")
