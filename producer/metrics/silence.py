"""The metrics of silence: of each organization, whether it is usual."""

import structlog

from producer.metrics import catalogue
from relay.status.model import Silence
from relay.telemetry.metrics import MetricSet
from relay.timestamps import to_iso_seconds

log = structlog.get_logger("producer")


class SilenceMetrics:
    """One method for each event, as in ProducerMetrics."""

    def __init__(self, metrics: MetricSet) -> None:
        self._metrics = metrics

    def current(self, organization: str, silence: Silence | None) -> None:
        """Set the state of the present silence and its probability. None: neither is known."""
        state, chance = (
            self._metrics[each] for each in (catalogue.SILENCE_STATE, catalogue.SILENCE_PROBABILITY)
        )
        if silence is None:
            catalogue.SILENCE_STATE.remove(state, {"organization": organization}, {})
        else:
            self._metrics.set_state(catalogue.SILENCE_STATE, silence.word, organization=organization)
        if silence is None or silence.probability is None:
            chance.remove(organization)
        else:
            chance.labels(organization).set(silence.probability)

    def became_unlikely(self, organization: str, silence: Silence) -> None:
        log.warning(
            "No event for unusually long. Compare with the audit log in Jira.",
            organization=organization,
            since=to_iso_seconds(silence.since),
            probability=silence.probability,
        )
