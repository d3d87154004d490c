"""Remove known secrets from log lines: the second line of defence, after never logging one."""

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, SecretStr

from relay.config.file_secret import FileSecret

_TAIL_LENGTH = 6
_MIN_LENGTH = 8  # a shorter secret may equal an ordinary word of a log line
_MARK = "[secret]"


class Redactor:
    """Replace every added secret by a mark, in plain text and as JSON, repr and URLs encode it.

    The time for a line grows with its length, not with the number of secrets: secrets are looked up by their last
    characters.
    """

    def __init__(self) -> None:
        self._by_tail: dict[str, tuple[str, ...]] = {}
        self._added: set[str] = set()

    def add(self, secret: str) -> None:
        """Add a secret. Forms with fewer than 8 characters are ignored."""
        if secret in self._added:  # a key is added at each request with it
            return
        for form in encoded_forms(secret):
            known = self._by_tail.get(form[-_TAIL_LENGTH:], ())
            if len(form) >= _MIN_LENGTH and form not in known:
                self._by_tail[form[-_TAIL_LENGTH:]] = (*known, form)
        # Last: another thread that adds it meanwhile, and logs, must not rely on forms that are not there yet.
        self._added.add(secret)

    def __call__(self, text: str) -> str:
        if not self._by_tail:
            return text
        parts: list[str] = []
        end = 0
        for start, stop in self._find_secrets(text):
            parts += [text[end:start], _MARK]
            end = stop
        return "".join([*parts, text[end:]])

    def _find_secrets(self, text: str) -> list[tuple[int, int]]:
        """Return start and end of each secret, in order. Secrets that touch or overlap are one range."""
        found = sorted(
            (stop - len(form), stop)
            for stop in range(_TAIL_LENGTH, len(text) + 1)
            for form in self._by_tail.get(text[stop - _TAIL_LENGTH : stop], ())
            if text.endswith(form, 0, stop)
        )
        merged: list[tuple[int, int]] = []
        for start, stop in found:
            if merged and start <= merged[-1][1]:
                start, stop = merged[-1][0], max(stop, merged.pop()[1])  # noqa: PLW2901
            merged.append((start, stop))
        return merged


def encoded_forms(secret: str) -> set[str]:
    """Return a secret as it is, and as JSON, repr and URLs encode it."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        quote(secret, safe="", errors="replace"),
    }


def basic_auth(user: str, secret: str) -> str:
    """Return user and secret in base64, as Basic authentication sends them."""
    return base64.b64encode(f"{user}:{secret}".encode()).decode()


def secrets_in(settings: Any) -> Iterator[str]:
    """Yield every secret in settings, unencrypted."""
    match settings:
        case SecretStr():
            yield settings.get_secret_value()
        case BaseModel():
            for _, value in settings:
                yield from secrets_in(value)
        case dict():
            yield from secrets_in(tuple(settings.values()))
        case tuple():
            for value in settings:
                yield from secrets_in(value)


def file_secrets_in(settings: Any) -> Iterator[FileSecret]:
    """Yield each secret in settings that a file holds."""
    match settings:
        case FileSecret():
            yield settings
        case BaseModel():
            for _, value in settings:
                yield from file_secrets_in(value)
        case dict():
            for value in settings.values():
                yield from file_secrets_in(value)
