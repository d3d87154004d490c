"""Why a publication failed, with what follows for its publisher and for an operator."""

from aiokafka.errors import InvalidTimestampError, ProducerFenced

from relay.errors import RelayError, describe
from relay.kafka.size_refusals import SizeRefusal, SizeRefusedError


class PublishError(RelayError):
    """A publication failed, or its outcome is unknown.
    Discard the publisher, and every state derived from its records.

    `fenced`: another owner has taken over. `timed_out`: a smaller one may end in time. `throttled`: it did not, because of a
    quota. `size_refusal`: a topic accepts no batch or record of this size. `time_refused`: nor a record of this time.
    """

    def __init__(
        self,
        message: str,
        *,
        fenced: bool = False,
        timed_out: bool = False,
        throttled: bool = False,
        size_refusal: SizeRefusal | None = None,
        time_refused: bool = False,
    ) -> None:
        super().__init__(message)
        self.fenced = fenced
        self.timed_out = timed_out
        self.throttled = throttled
        self.size_refusal = size_refusal
        self.time_refused = time_refused


def publish_error(error: Exception) -> PublishError:
    """Return the error of a publication that Kafka or aiokafka rejected."""
    match error:
        case SizeRefusedError(refusal=refusal):
            return PublishError(
                f"Kafka rejected a transaction for its size: {refusal.topic} accepts no batch of that size. Compare its "
                "max.message.bytes: `jira-relay topics check`.",
                size_refusal=refusal,
            )
        case ProducerFenced():
            return PublishError("Another owner has taken over the transactional id.", fenced=True)
        case InvalidTimestampError():
            return PublishError(
                "Kafka rejected a transaction because of its timestamps: the clock of this machine is ahead "
                "of Kafka's by more than message.timestamp.after.max.ms (default: 1 hour). Correct the clocks.",
                time_refused=True,
            )
    return PublishError(f"Kafka rejected a transaction: {describe(error)}. Run `jira-relay check`.")
