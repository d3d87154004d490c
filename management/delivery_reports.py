"""The deliveries to a destination as all consumer processes report them together. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from management.destination_day import Retries
from relay.status.model import DeliveryReport, Status, destinations_of

_PROCESSES = "consume/"
"""The beginning of the keys of consumer processes on the status topic."""


@dataclass(frozen=True, slots=True)
class DeliverySummary:
    """What the consumers of a destination reported last. Instants are ms UTC."""

    lag_seconds: float | None
    """Age of the oldest event that was not accepted, when it was reported; 0: none waited. None: a consumer does not know it."""
    retries: Retries
    """Since the first of these consumers started."""
    read_seconds: float | None = None
    """Age of the oldest event that was read and not accepted, where `lag_seconds` is not known; None: there is none."""
    events_per_second: float | None = None
    """What all of them handled in the last minutes. None: one of them does not know it."""


def summarize_deliveries(statuses: Mapping[str, Status], now_ms: int) -> dict[str, DeliverySummary]:
    """Return the summary of each destination, from the statuses of the consumer processes that report now."""
    found: dict[str, list[tuple[int, DeliveryReport]]] = {}
    silent: set[str] = set()  # destinations of processes that report no delivery: their release is older
    for key, status in statuses.items():
        if key.startswith(_PROCESSES) and now_ms <= status.valid_until:
            for each in status.deliveries:
                found.setdefault(each.destination, []).append((status.at, each))
            silent |= set() if status.deliveries else set(destinations_of(status))
    return {name: _summary(reports, complete=name not in silent) for name, reports in found.items()}


def _summary(reports: Iterable[tuple[int, DeliveryReport]], *, complete: bool) -> DeliverySummary:
    """`complete`: whether each process that delivers to the destination reports it."""
    listed = list(reports)
    deliveries = [each for _, each in listed]
    # An event that waits has an age, also where the clock of its producer is ahead: 0 says that none waits.
    ages = [max(1, at - each.oldest) / 1000 for at, each in listed if each.oldest is not None]
    repeated = [each.last_retry for each in deliveries if each.last_retry is not None]
    known = complete and all(each.known for each in deliveries)
    retries = Retries(
        sum(each.retries for each in deliveries),
        min(each.since for each in deliveries),
        max(repeated, key=lambda each: each.at, default=None),
    )
    rates = [1000 * each.recent.events / each.recent.ms for each in deliveries if each.recent is not None]
    return DeliverySummary(
        max(ages, default=0.0) if known else None,
        retries,
        None if known else max(ages, default=None),
        sum(rates) if complete and len(rates) == len(deliveries) else None,
    )
