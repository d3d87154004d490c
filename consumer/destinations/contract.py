"""The contract between the delivery and a destination."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from pydantic import SecretStr

from consumer.config import StartPosition
from consumer.destinations.outcome import Outcome
from consumer.destinations.read_back import OpenReadBack
from relay.config.kafka import KafkaConfig

if TYPE_CHECKING:  # the settings need this module, and no polars
    import polars as pl

    from consumer.formats.column_rows import AnyRows
    from consumer.formats.encoded_rows import EncodedRows
    from consumer.formats.privacy import Rule

Flow = Literal["live", "history"]
"""The flows that a destination has a target for. The flow of older events, a `PipelineFlow`, has the target of history."""


class DestinationConfig(Protocol):
    """The settings that every kind has: `consumer.config.DestinationSettings`, extended by `kind` and the kind's own."""

    @property
    def kind(self) -> str: ...

    @property
    def start(self) -> StartPosition | None: ...

    @property
    def where(self) -> str | None: ...

    @property
    def hide(self) -> "Mapping[str, Rule]": ...

    @property
    def hide_key(self) -> SecretStr | None: ...


C = TypeVar("C", bound=DestinationConfig)


@dataclass(frozen=True, slots=True)
class BodyFormat:
    """The framing of rows in one body: prefix, rows joined by the separator, suffix. Sizes are bytes before compression."""

    max_bytes: int
    prefix: bytes = b""
    separator: bytes = b"\n"
    suffix: bytes = b""
    max_rows: int | None = None
    """None: bounded by bytes only."""

    @property
    def overhead(self) -> int:
        """Bytes of a body without rows."""
        return len(self.prefix) + len(self.suffix)

    @property
    def max_row_bytes(self) -> int:
        """Bytes of a row that has a body to itself."""
        return self.max_bytes - self.overhead

    def framed(self, rows: "EncodedRows") -> bytes:
        """Return the body of these rows, not compressed."""
        return rows.framed(self.prefix, self.suffix)

    def size(self, rows: "AnyRows") -> int:
        """Return the bytes of the body of these rows."""
        return self.overhead + rows.size

    def count_fitting(self, rows: "AnyRows", size: int, count: int) -> int:
        """Return how many leading `rows` fit into a body that has `size` bytes, framing included, and `count` rows."""
        room = self.max_bytes - size - (len(self.separator) if count else 0)
        fitting = rows.count_within(room)
        return fitting if self.max_rows is None else min(fitting, self.max_rows - count)


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Offsets `first` to `last` of one partition, both included.

    Offsets between them may be missing: transaction markers, skipped records, rows of other bodies.
    """

    topic: str
    partition: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Body:
    """One request body. Every retry of the same rows sends an equal body, so names and ids may be made from `offsets`."""

    content: bytes
    """As `Destination.body` returned it."""
    rows: int
    raw_bytes: int
    """Size before compression."""
    offsets: tuple[OffsetRange, ...]
    """One range a partition; exactly one where `Limits.single_partition` is set."""
    route: str | None = None
    """Where its rows go, of `Limits.routes`; None: their organizations have no route of their own."""
    row_offsets: Sequence[int] = ()
    """The offset of each row, ascending, where `Limits.single_partition` is set; else empty."""
    replay: str | None = None
    """The id of the replay job whose rows these are; None: they are no replay. A name made from `offsets` needs it too."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one flow's requests."""

    format: BodyFormat
    linger_seconds: float | None = None
    """How long a row waits for others, counted from its reading; None: `consumer.linger_seconds`."""
    in_flight_bytes: int = 16_000_000
    """Bytes of rows and records in delivery; at least one body is always sent."""
    in_flight_bodies: int | None = None
    """Bodies in delivery, without those that were rejected and wait for evidence; None: bounded by bytes only."""
    max_uncommitted: int = 20_000
    """Delivered records whose offsets are not committed. A kill may send so many again, beside those in flight."""
    request_timeout_seconds: float = 25.0
    """`Destination.send` ends within this time."""
    single_partition: bool = False
    """Whether a body holds rows of one partition only, in the order of their offsets."""
    routes: Mapping[str, str] = field(default_factory=dict)
    """Organization: its index, prefix or URL, from the settings. A body holds rows of one route only."""


class Destination(Protocol):
    """One flow of one destination, live or history. It knows no Kafka, and outlives every rebalance.

    The delivery calls `encode` for each batch of decoded events, `body` for each body and each part of a divided body, and
    `send` for each attempt. Several `send` calls run at a time. An exception out of `encode`, `body` or `send` is a defect:
    the delivery names it in the status, waits, and calls again with the same rows. Nothing is dropped.
    """

    @property
    def limits(self) -> Limits:
        """Constant for the life of the destination."""

    @property
    def address(self) -> str:
        """Where the requests go, for messages: host and the part of the host that receives them."""

    @property
    def config_hint(self) -> str:
        """One sentence that names the settings, files or rights to check when the destination rejects every row."""

    def encode(self, events: "pl.DataFrame") -> "AnyRows":
        """Return one row an event, in their order, each of at most `limits.format.max_row_bytes` bytes.

        Called in a worker thread, for several batches at a time. Pure: calls nothing, keeps nothing. The frame has the columns
        of schemas/audit_event.avsc and may be empty. That of a replay has `formats.replay_mark.REPLAY_ID` too, and each row
        says so. The rows are joined by `limits.format.separator`.
        """

    def body(self, rows: Any) -> bytes:
        """Frame and compress at least one row. `rows` are what `encode` returned, or parts of it.

        Called in a worker thread. Pure: equal rows give an equal body.
        """

    async def send(self, body: Body) -> Outcome:
        """Make one request, and return its outcome. Called on the event loop.

        Never waits for another attempt and never retries, apart from a credential that has to be renewed. Ends within
        `limits.request_timeout_seconds`. Raises nothing but CancelledError; each fault is an outcome that names it.
        """

    async def probe(self) -> Outcome:
        """Make one harmless request that holds no row. Sent: address, credential and rights work. Bounded as `send` is."""


OpenFlows = AbstractAsyncContextManager[Mapping[Flow, Destination]]
"""The flows of one destination, for as long as they are open."""


@dataclass(frozen=True, slots=True)
class DestinationKind(Generic[C]):
    """One line of the catalogue of destinations."""

    config: type[C]
    """The settings: a pydantic model whose `kind` is `Literal["<the key of the catalogue>"]`."""
    open: Callable[[str, C, float], OpenFlows]
    """Open the flows: the operator's name for it, its settings, the request timeout in seconds.

    Yields "live" and, unless the destination takes no history, "history"; they share one client. Entering makes no request.
    Raises RelayError for settings that cannot work. It imports the client of the kind and its encoder: a process loads those
    of the kinds that it serves.
    """
    identity: Callable[[C], Mapping[Flow, Mapping[str, str]]]
    """Return the settings that say where the events of each flow go, by name: two settings with equal ones share a target.

    A setting of one flow is not in the other: its change concerns that flow alone. Values hold no secret, and none that rotates
    with one. "history" is left out where the destination takes no history.
    """
    classify_status: Callable[[int], Outcome] | None
    """Return the outcome of an answer that has this status and nothing else, for the runbook; NAME is the operator's name.

    None: the peer answers without statuses, and no outcome has one.
    """
    request_timeout_seconds: float = 25.0
    beside: Callable[[C, KafkaConfig], C] | None = None
    """Return the settings with the relay's own Kafka cluster, for a kind that may write to it. None: the kind does not."""
    own_places: Callable[[C], Iterable[str]] = lambda _: ()
    """Return the places that no other destination of the settings may write to, as a log of which it is the only writer."""

    read_back: Callable[[str, C], OpenReadBack] | None = None
    """Open the reader of what the destination has: its name, and its settings with `read_back`. None: the kind cannot be asked.

    Raises RelayError for settings that cannot work.
    """

    def open_beside(self, name: str, config: C, own: KafkaConfig) -> OpenFlows:
        """Open the flows as `open` does. `own`: the settings of the relay's own cluster."""
        settings = config if self.beside is None else self.beside(config, own)
        return self.open(name, settings, self.request_timeout_seconds)


AnyKind = DestinationKind[Any]
Kinds = Mapping[str, AnyKind]
