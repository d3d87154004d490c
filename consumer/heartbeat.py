"""What a consumer process says of itself while it runs: that it lives, and what it has delivered to each destination."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from consumer.delivery_history import DeliveryHistory
from consumer.delivery_report import report_delivery
from consumer.running_pipelines import RunningDestination
from consumer.status_reporter import DestinationStatusReporter
from consumer.timing import ConsumerServiceTiming
from consumer.topic_settings import TopicSettings
from relay.status.model import DeliveryReport, destinations_text, service_key, take_over
from relay.status.writer import StatusWriter
from relay.timestamps import now_ms


@dataclass(frozen=True, slots=True)
class ServedDestination:
    """One destination as it runs: its flows, its report, and what this process has delivered to it."""

    name: str
    running: RunningDestination
    reporter: DestinationStatusReporter
    history: DeliveryHistory

    async def report(self, started: int, seconds: float) -> DeliveryReport | None:
        """Return the report, which the history has taken; arguments and None as in `report_delivery`."""
        recent = self.history.recent(time.monotonic())
        report = await report_delivery(self.name, self.running, started, seconds)
        report = report and replace(report, recent=recent)
        self.history.record(report, now_ms())
        return report


async def heartbeat(
    status_writer: StatusWriter,
    served: Sequence[ServedDestination],
    topic_settings: TopicSettings,
    timing: ConsumerServiceTiming,
    started: int,
) -> None:
    """Report that this process runs, its deliveries, and the topic settings that it may not read, until cancelled."""
    names = destinations_text(each.name for each in served)
    status = take_over("active", started, reason=names)
    while True:
        reason = "; ".join(filter(None, (names, topic_settings.unknown, topic_settings.copies.text)))
        reports = await asyncio.gather(*(each.report(started, timing.report_seconds) for each in served))
        status = status.transition("active", reason, now_ms()).valid_for(timing.heartbeat_valid_ms)
        status = replace(status, deliveries=tuple(each for each in reports if each is not None))
        status_writer.put(service_key("consume"), status)
        await asyncio.sleep(timing.heartbeat_seconds)
