"""Why Jira gives no records: each cause, what it asks of us, and what an operator is told."""

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    WAIT = "wait"
    """Leave the whole site alone for at least `retry_after_seconds`, then try again."""
    RETRY = "retry"
    """It may pass by itself: try again, waiting longer each time."""
    FIX = "fix"
    """Somebody has to put something right: try again seldom, and at once when settings or key change."""
    SMALLER = "smaller"
    """Ask for fewer records."""


class Kind(StrEnum):
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


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there are no records. `message` is for an operator: what happened, to which organization, what to do."""

    kind: Kind
    message: str
    retry_after_seconds: float | None = None
    date_ms: int | None = None

    @property
    def action(self) -> Action:
        if self.retry_after_seconds is not None:
            return Action.WAIT
        return _CATALOGUE[self.kind][0]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked, for whom. `host` is as shown to an operator."""

    organization: str
    host: str
    gateway: bool = False


_CATALOGUE = {
    Kind.RATE_LIMITED: (
        Action.WAIT,
        "{host} asks to be left alone for a while (429{words}); it is asked again when that is over.",
    ),
    Kind.UNAVAILABLE: (
        Action.RETRY,
        "{host} is unavailable ({status}{words}); it is asked again. If this lasts, see https://status.atlassian.com.",
    ),
    Kind.UNREACHABLE: (
        Action.RETRY,
        "{host} cannot be reached or does not answer{words}; it is asked again. If this lasts, check network and proxy.",
    ),
    Kind.BROKEN_ANSWER: (
        Action.RETRY,
        (
            "{host} answered with something that is no page of audit records{words}; it is asked again. "
            "If this lasts, check whether a proxy or a login page answers in Jira's place."
        ),
    ),
    Kind.TOO_LARGE: (Action.SMALLER, "An answer of {host} is too large{words}; fewer records are asked for."),
    Kind.HOST_UNKNOWN: (
        Action.RETRY,
        "The host {host} is unknown to DNS; check the URL, or the DNS of this machine.",
    ),
    Kind.TLS: (
        Action.FIX,
        "{host} has no certificate that is trusted here{words}; a proxy that opens TLS needs its CA in SSL_CERT_FILE.",
    ),
    Kind.REDIRECTED: (
        Action.FIX,
        "{host} sends us elsewhere ({status}{words}), where the key was not sent; if the site has moved, change the URL.",
    ),
    Kind.NOT_JIRA: (
        Action.FIX,
        "No Jira answers at {host} ({status}); check the URL, and whether the site still exists and has Jira.",
    ),
    Kind.KEY_REFUSED: (
        Action.FIX,
        "{host} refuses user and API key ({status}); check both: the key may be mistyped, revoked or expired{door}.",
    ),
    Kind.SCOPE_MISSING: (
        Action.FIX,
        (
            "The key lacks a scope (401{words}); make one with read:audit-log:jira and read:user:jira "
            "(or manage:jira-configuration)."
        ),
    ),
    Kind.KEY_TYPE: (
        Action.FIX,
        "{host} takes the credential for another type (403{words}); give the e-mail address of the user and an API token.",
    ),
    Kind.ANONYMOUS: (
        Action.FIX,
        (
            "{host} answered, but did not accept user and API key (X-Seraph-LoginReason on a {status}); "
            "check both: the key may be revoked or expired{door}."
        ),
    ),
    Kind.CAPTCHA: (
        Action.FIX,
        (
            "{host} wants a CAPTCHA after too many failed logins of this user; "
            "log in once with a browser as this user, then check the API key."
        ),
    ),
    Kind.NOT_ADMINISTRATOR: (
        Action.FIX,
        "The user may not read the audit log of {host} (403{words}); grant the global permission Administer Jira.",
    ),
    Kind.FREE_PLAN: (
        Action.FIX,
        "{host} has no audit log: all its Jira products are on Free plans (403); a paid plan or a trial is needed.",
    ),
    Kind.FORBIDDEN: (
        Action.FIX,
        "Access to {host} is forbidden ({status}{words}); check IP allow lists, proxies, and the user's rights.",
    ),
    Kind.BAD_REQUEST: (
        Action.FIX,
        "{host} does not understand our request ({status}{words}); its API may have changed: look for a newer relay.",
    ),
    Kind.NO_KEY: (Action.FIX, "The API key for {host} cannot be had{words}."),
    Kind.OTHER_SITE: (
        Action.FIX,
        (
            "Behind {host} stands another Jira site than before, and nothing is read from it; "
            "if that is meant, delete the organization and add it under another name."
        ),
    ),
    Kind.UNEXPECTED: (
        Action.RETRY,
        "{host} answered with a status that is not expected ({status}{words}); it is asked again.",
    ),
}


def failure(kind: Kind, asked: Asked, *, status: int = 0, words: str = "") -> Failure:
    """The failure of this kind, in words. `words` are quoted; they must hold no secret."""
    said = f": {words}" if words else ""
    text = _CATALOGUE[kind][1].format(host=asked.host, status=status, words=said, door=_door(asked))
    return Failure(kind, f"{asked.organization}: {text}")


def _door(asked: Asked) -> str:
    if asked.gateway:
        return ", or one without scopes, which works at the site itself only"
    return ", or one with scopes, which works through Atlassian's gateway only"
