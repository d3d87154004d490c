"""The history of changes, newest first: kept in memory, and read on with each request for it."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from management.formatting import iso_milliseconds, iso_seconds
from management.personal_data import SEARCHED, VIEWED
from management.topic_follower import FollowerTiming, ReadState, TopicFollower
from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.kafka import Record
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics

MAX_CHANGES = 20_000
ALL_ORGANIZATIONS = "all organizations"
"""Key of what concerns all of them. Names have no spaces, so none is this one."""
_DESTINATION = "destination/"
_TIMES = {"backfill_from", "credential_expires", "added", "modified", "at", "from_ms", "to_ms"}
_MAINTAINED = {"modified", "revision"}
_MAX_VALUE_CHARS = 300


@dataclass(frozen=True, slots=True)
class ChangeEntry:
    """One change. `at`: ms UTC. `key`: an organization, or `destination/NAME`. `before`, `after`: JSON objects; None: no facts."""

    offset: int
    at: int
    who: str
    what: str
    key: str
    before: str | None = None
    after: str | None = None

    @property
    def subject(self) -> str:
        """`destination`, `organization` or `organizations`."""
        if self.key == ALL_ORGANIZATIONS:
            return "organizations"
        return "destination" if self.key.startswith(_DESTINATION) else "organization"

    @property
    def name(self) -> str:
        return self.key.removeprefix(_DESTINATION)

    def differences(self) -> list[tuple[str, str, str]]:
        """Return name, value before and value after of each fact that differs. Empty text: there was none."""
        before, after = _facts(self.before), _facts(self.after)
        names = [name for name in {**before, **after} if name not in _MAINTAINED]
        return [
            (name, _text(name, before.get(name)), _text(name, after.get(name)))
            for name in names
            if before.get(name) != after.get(name)
        ]

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "at": iso_milliseconds(self.at),
            "who": self.who,
            "what": self.what,
            "subject": self.subject,
            "name": self.name,
            "before": None if self.before is None else _facts(self.before),
            "after": None if self.after is None else _facts(self.after),
        }


@dataclass(frozen=True, slots=True)
class ChangeQuery:
    """Conditions that a change meets all of. Empty or None: any. Times are ms UTC, `to_ms` is exclusive."""

    subject: str = ""
    name: str = ""
    who: str = ""
    what: str = ""
    text: str = ""
    """A part of the change in letters of any case: of the person, the deed, the object or a value."""
    from_ms: int | None = None
    to_ms: int | None = None

    def matches(self, entry: ChangeEntry) -> bool:
        return (
            self.subject in {"", entry.subject}
            and self.name in {"", entry.name}
            and self.who in {"", entry.who}
            and (not self.what or entry.what == self.what or entry.what.startswith(f"{self.what} "))
            and (self.from_ms is None or entry.at >= self.from_ms)
            and (self.to_ms is None or entry.at < self.to_ms)
            and (not self.text or self.text.casefold() in _all_text(entry))
        )


class ChangeHistory:
    """The last 20,000 changes of the topic. It keeps nothing that is not on the topic."""

    def __init__(
        self,
        connection: Connection,
        now_ms: Callable[[], int],
        timing: FollowerTiming | None = None,
        most: int = MAX_CHANGES,
    ) -> None:
        self._entries: deque[ChangeEntry] = deque(maxlen=most)
        self._unreadable = 0
        self._codec = InternalCodec("change")
        self._follower = TopicFollower(
            connection,
            [Topics(connection.kafka.topic_prefix).changes],
            most,
            now_ms,
            self._take,
            self._reset,
            timing,
        )
        self._may_have_more = False

    async def refresh(self) -> ReadState:
        """Read what is new. A failure leaves what was read before, and its reason in the state."""
        return await self._follower.refresh()

    @property
    def is_cut(self) -> bool:
        """Whether the topic may have older changes than these."""
        return self._may_have_more or len(self._entries) == self._entries.maxlen

    @property
    def oldest(self) -> int | None:
        """When the oldest change here was made, in ms UTC. None: there is none."""
        return self._entries[0].at if self._entries else None

    @property
    def problems(self) -> list[str]:
        """Sentences about what cannot be read."""
        found = [
            f"{text} Changes of this batch are missing here." for text in self._follower.problems.values()
        ]
        if self._unreadable:
            found.append(
                f"{self._unreadable:,} records of the history cannot be read by this release, and are missing here. Upgrade the console."
            )
        return found

    def select(self, query: ChangeQuery | None = None) -> Iterator[ChangeEntry]:
        """Yield the changes that match, newest first."""
        wanted = query or ChangeQuery()
        return (entry for entry in reversed(self._entries) if wanted.matches(entry))

    def deeds(self) -> Sequence[str]:
        """Return what was done, sorted; views of personal data, which name what was seen, are one deed, and so are searches."""
        return sorted(
            {
                next((deed for deed in (VIEWED, SEARCHED) if entry.what.startswith(deed)), entry.what)
                for entry in self._entries
            }
        )

    def people(self) -> Sequence[str]:
        """Return who has changed something, sorted."""
        return sorted({entry.who for entry in self._entries})

    def _take(self, record: Record) -> None:
        if not self._entries and record.offset > 0:
            self._may_have_more = True
        entry = decode_change(self._codec, record)
        if entry is None:
            self._unreadable += 1
        else:
            self._entries.append(entry)

    def _reset(self) -> None:
        self._entries.clear()
        self._unreadable, self._may_have_more = 0, False


def decode_change(codec: InternalCodec, record: Record) -> ChangeEntry | None:
    """Return the change of a record. None: it cannot be read."""
    try:
        found = codec.decode(record.value or b"")
        return ChangeEntry(
            record.offset,
            found["at"],
            found["who"],
            found["what"],
            found["organization"],
            found["before"],
            found["after"],
        )
    except (NotAvro, UnknownSchema, BadBody):
        return None


def _all_text(entry: ChangeEntry) -> str:
    return "\n".join((entry.who, entry.what, entry.name, entry.before or "", entry.after or "")).casefold()


def _facts(text: str | None) -> Mapping[str, Any]:
    """Return the facts of a change. A text that is no JSON object is a fact by itself: another program wrote it."""
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {"text": text}
    return found if isinstance(found, dict) else {"text": text}


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _TIMES and isinstance(value, int) and not isinstance(value, bool):
        return iso_seconds(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_VALUE_CHARS else f"{text[: _MAX_VALUE_CHARS - 1]}…"
