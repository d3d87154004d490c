"""The login: one token, sessions as signed values, and a limit on attempts. Times are ms UTC, given by the caller."""

import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from console.permissions import AccessRole
from management.sign_outs import PREFIX
from relay.timestamps import DAY_MS

SESSION_MS = DAY_MS // 2
LINK_MS = 600_000
MAX_NAME_CHARS = 80
MAX_COOKIE_BYTES = 3_800
"""Of a notice with its signature; browsers keep 4,096 bytes of a cookie with its name and attributes."""
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person. `who`: the name in the history of changes. `id`: random, binds forms to the session.

    `provider`: whether an identity provider signed the person in.
    """

    who: str
    id: str
    expires: int
    role: AccessRole = AccessRole.OPERATOR
    provider: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """What the next page says about the step before it. `failed`: the step was not done, or not wholly."""

    sentences: tuple[str, ...]
    failed: bool = False


@dataclass(frozen=True, slots=True)
class _Keys:
    """What is derived from one token."""

    digest: bytes
    sessions: URLSafeSerializer
    messages: URLSafeSerializer
    plans: URLSafeSerializer
    attempts: URLSafeSerializer
    form: bytes
    sign_out: bytes

    @classmethod
    def of(cls, token: str) -> "_Keys":
        key = hmac.digest(token.encode(), b"jira-audit-relay console", "sha256").hex()
        options = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        serializer = partial(URLSafeSerializer, key, signer_kwargs=options)
        return cls(
            digest=hashlib.sha256(token.encode()).digest(),
            sessions=serializer(salt="session"),
            messages=serializer(salt="message"),
            plans=serializer(salt="plan"),
            attempts=serializer(salt="attempt"),
            form=hmac.digest(key.encode(), b"form", "sha256"),
            sign_out=hmac.digest(key.encode(), b"sign-out", "sha256"),
        )


class Access:
    """Who may use the console: a person who knows the token, or who has a session that was signed with it.

    Keys are derived from the token, so consoles with one token accept each other's sessions, and a new token ends them all.
    `has_token` false: the text only makes the keys, as the secret at an identity provider does, and signs nobody in.
    """

    def __init__(
        self, token: str, *, has_token: bool = True, changed_token: Callable[[], str | None] = lambda: None
    ) -> None:
        """`changed_token` returns the token once it is another one; None: it is not."""
        self.has_token = has_token
        self._derived = _Keys.of(token)
        self._changed_token = changed_token
        self._link: tuple[str, int] | None = None

    @property
    def _keys(self) -> _Keys:
        if (token := self._changed_token()) is not None:
            self._derived = _Keys.of(token)
        return self._derived

    def accepts(self, token: str) -> bool:
        """Return whether this is the token, in a time that says nothing about it."""
        given = hashlib.sha256(token.encode()).digest()
        return hmac.compare_digest(given, self._keys.digest) and self.has_token

    def make_link_code(self, now_ms: int) -> str:
        """Return a code that signs in once, within ten minutes, in place of the token."""
        code = secrets.token_urlsafe(32)
        self._link = code, now_ms + LINK_MS
        return code

    def use_link_code(self, code: str, now_ms: int) -> bool:
        """Return whether the code signs in. It does so once."""
        if self._link is None or not hmac.compare_digest(code.encode(), self._link[0].encode()):
            return False
        expires, self._link = self._link[1], None
        return now_ms < expires

    def sign_in(
        self, who: str, now_ms: int, role: AccessRole = AccessRole.OPERATOR, *, provider: bool = False
    ) -> str:
        """Return the value of a cookie for a new session."""
        session = {"who": who, "id": secrets.token_urlsafe(16), "expires": now_ms + SESSION_MS}
        return str(self._keys.sessions.dumps(session | {"role": int(role), "provider": provider}))

    def session(self, cookie: str | None, now_ms: int) -> Session | None:
        """Return the session of a cookie. None: there is none, it has ended, or this console did not sign it."""
        try:
            fields = self._keys.sessions.loads(cookie or "")
            found = Session(**fields | {"role": AccessRole(fields["role"])})
        except (BadData, TypeError, LookupError, ValueError):  # also one that another release has signed
            return None
        return found if now_ms < found.expires else None

    def sign_out_key(self, session: Session) -> str:
        """Return the key of the record that ends this session before its time. It says nothing about the cookie."""
        return PREFIX + hmac.digest(self._keys.sign_out, session.id.encode(), "sha256").hex()[:32]

    def sign_attempt(self, attempt: Mapping[str, Any]) -> str:
        """Return the value of a cookie that keeps a sign-in which has begun at an identity provider."""
        return str(self._keys.attempts.dumps(dict(attempt)))

    def attempt(self, cookie: str | None, now_ms: int) -> dict[str, Any] | None:
        """Return the sign-in that has begun. None: there is none, it is too old, or this console did not sign it."""
        try:
            found: dict[str, Any] = self._keys.attempts.loads(cookie or "")
            return found if now_ms < found["expires"] else None
        except (BadData, TypeError, LookupError):
            return None

    def form_token(self, session: Session) -> str:
        """Return the token that each form of this session carries, so that no other site can send one."""
        return hmac.digest(self._keys.form, session.id.encode(), "sha256").hex()

    def accepts_form(self, session: Session, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.form_token(session).encode())

    def sign_notice(self, notice: Notice) -> str:
        """Return the value of a cookie that carries a notice to the next page. Long sentences are cut: browsers drop a large cookie."""
        for most in (600, 300, 150, 75):
            sentences = [each if len(each) <= most else f"{each[: most - 1]}…" for each in notice.sentences]
            value = str(self._keys.messages.dumps([notice.failed, *sentences[:8]]))
            if len(value) <= MAX_COOKIE_BYTES:
                break
        return value

    def notice(self, cookie: str | None) -> Notice | None:
        """Return the notice of a cookie. None: there is none, or this console did not sign it."""
        try:
            failed, *sentences = self._keys.messages.loads(cookie or "")
        except (BadData, TypeError, ValueError):
            return None
        return Notice(tuple(map(str, sentences)), bool(failed))

    def sign_plan(self, plan: Sequence[str]) -> str:
        """Return the value of a form field that carries what a person has seen, and confirms."""
        return str(self._keys.plans.dumps(list(plan)))

    def plan(self, value: str) -> list[str] | None:
        """Return the plan in a form field. None: no console of this token made it."""
        try:
            found = self._keys.plans.loads(value)
        except BadData:
            return None
        return [str(each) for each in found]


def clean_name(text: str) -> str | None:
    """Return a person's name on one line, without white space around it. None: it is empty, too long, or has control characters."""
    name = " ".join(text.split())
    return name if name and name.isprintable() and len(name) <= MAX_NAME_CHARS else None


@dataclass(slots=True)
class LoginThrottle:
    """Limits failed attempts: per address and in all, in a sliding minute. Behind a proxy all have one address."""

    per_address: int = 5
    in_all: int = 50
    addresses_kept: int = 1000
    _failures: deque[int] = field(default_factory=deque)
    _by_address: OrderedDict[str, deque[int]] = field(default_factory=OrderedDict)

    def wait_seconds(self, address: str, now_ms: int) -> int:
        """Return the seconds until this address may try again; 0: now."""
        return max(
            _wait(self._failures, self.in_all, now_ms),
            _wait(self._by_address.get(address, deque()), self.per_address, now_ms),
        )

    def failed(self, address: str, now_ms: int) -> None:
        """Record a wrong token."""
        self._failures.append(now_ms)
        self._by_address.setdefault(address, deque()).append(now_ms)
        self._by_address.move_to_end(address)
        while len(self._by_address) > self.addresses_kept:
            self._by_address.popitem(last=False)


def _wait(failures: deque[int], limit: int, now_ms: int) -> int:
    while failures and failures[0] <= now_ms - _MINUTE_MS:
        failures.popleft()
    if len(failures) < limit:
        return 0
    return max(1, -(-(failures[-limit] + _MINUTE_MS - now_ms) // 1000))
