"""One channel of indexer acknowledgement: which requests wait, and which acknowledgement is believed.

1. Ids live in the memory of one node and count from 0 in each channel. After a restart, or behind a balancer that chose another
   node, the same channel counts from 0 again, and what was not indexed is lost. An acknowledgement of a new request must not be
   taken for that of an old one with the same id: the old one would be lost.
2. So an id that the channel has given before proves a restart: every request that waits is lost, and is sent again.
3. A request without an answer may have been given an id that nobody knows: after a restart, ids below the number of such
   requests. An acknowledgement of so small an id is not believed.
4. An acknowledgement that comes while requests are under way waits for their answers, since one of them may prove the restart.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

Post = object
"""One request under way."""
End = Literal["indexed", "forgotten", "late"]
Settle = Callable[[End], None]
"""Called once for each request that waits. After `forgotten` and `late` nobody knows whether its events are indexed."""


@dataclass(slots=True)
class Channel:
    """Pure. `id` is a GUID that the relay made."""

    id: str
    usable: bool = True
    """Whether new requests may use it. A request without an answer, or a restart, ends that."""
    _seen: set[int] = field(default_factory=set)
    _waiting: dict[int, Settle] = field(default_factory=dict)
    _posts: set[Post] = field(default_factory=set)
    _unanswered: int = 0
    _held: dict[int, set[Post]] = field(default_factory=dict)
    """Acknowledged ids, each with the requests whose answers it waits for."""

    @property
    def waiting(self) -> list[int]:
        """The ids to ask for."""
        return sorted(self._waiting.keys() - self._held.keys())

    @property
    def is_done(self) -> bool:
        return not self.usable and not self._waiting and not self._posts

    def begin(self) -> Post:
        """Begin a request."""
        post = object()
        self._posts.add(post)
        return post

    def answered(self, post: Post, ack_id: int, settle: Settle) -> None:
        """End a request that was given an id, and wait for its acknowledgement."""
        self._posts.discard(post)
        if ack_id in self._seen:
            self.lost()
            settle("forgotten")
            return
        self._seen.add(ack_id)
        self._waiting[ack_id] = settle
        self._release(post)

    def refused(self, post: Post, ack_id: int | None = None) -> None:
        """End a request whose acknowledgement nobody waits for. `ack_id`: its id; None: it was given none."""
        self._posts.discard(post)
        if ack_id in self._seen:
            self.lost()
        elif ack_id is not None:
            self._seen.add(ack_id)
        self._release(post)

    def unanswered(self, post: Post) -> None:
        """End a request of which nobody knows whether the node has given it an id; nothing if it has ended already."""
        if post not in self._posts:
            return
        self._posts.discard(post)
        self.usable = False
        self._unanswered += 1
        self._release(post)

    def acknowledge(self, ids: Iterable[int]) -> None:
        """The node says that these requests are indexed."""
        for ack_id in ids:
            if ack_id in self._waiting and ack_id not in self._held:
                self._held[ack_id] = set(self._posts)
        self._settle_held()

    def give_up(self, ack_id: int, settle: Settle) -> None:
        """Stop waiting for one request, if it still waits."""
        if self._waiting.get(ack_id) is settle:
            self.usable = False
            self._settle(ack_id, "late")

    def lost(self) -> None:
        """The node has forgotten the channel: what waits will never be acknowledged."""
        self.usable = False
        for ack_id in list(self._waiting):
            self._settle(ack_id, "forgotten")

    def _release(self, post: Post) -> None:
        for posts in self._held.values():
            posts.discard(post)
        self._settle_held()

    def _settle_held(self) -> None:
        for ack_id, posts in list(self._held.items()):
            if not posts and ack_id in self._held:
                self._settle(ack_id, "indexed" if ack_id >= self._unanswered else "forgotten")

    def _settle(self, ack_id: int, end: End) -> None:
        self._held.pop(ack_id, None)
        self._waiting.pop(ack_id)(end)
