"""How long a reader of topics waits for Kafka."""

from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer


@dataclass(frozen=True, slots=True)
class ReaderTiming:
    """Bounds of a reader, in seconds."""

    open_seconds: float = 10.0
    answer_seconds: float = 10.0
    stable_attempts: int = 6
    stable_pause_seconds: float = 0.1
    """Between two looks whether an open transaction has ended."""
    idle_seconds: float = 20.0
    """How long reading may make no progress."""

    def times(self, patience: float) -> "ReaderTiming":
        """Return the bounds multiplied by `patience`."""
        return ReaderTiming(
            self.open_seconds * patience,
            self.answer_seconds * patience,
            int(self.stable_attempts * patience),
            self.stable_pause_seconds,
            self.idle_seconds * patience,
        )


DEFAULT_TIMING = ReaderTiming()


def set_timing(consumer: AIOKafkaConsumer, timing: ReaderTiming) -> None:
    """Keep the bounds of a reader with it, for every function that gets it."""
    consumer.relay_timing = timing


def timing_of(consumer: AIOKafkaConsumer) -> ReaderTiming:
    """Return the bounds with which a reader was opened."""
    timing: ReaderTiming = getattr(consumer, "relay_timing", DEFAULT_TIMING)
    return timing
