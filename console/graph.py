"""Small graphs as inline SVG, without style attributes, which the Content-Security-Policy refuses. Pure."""

from collections.abc import Sequence

from markupsafe import Markup

from management.destination_day import KnownHour
from management.formatting import duration
from relay.status.model import HourCount
from relay.status.slots import DeliverySlot

_WIDTH, _HEIGHT = 120, 24
_BAR_SHARE = 0.8
"""Of the place that each bar has."""


def bars(hours: Sequence[HourCount]) -> Markup:
    """Return a bar for each hour, the oldest first; the text for a reader that sees no graph says the same in words."""
    most = max((each.events for each in hours), default=0)
    total = sum(each.events for each in hours)
    label = f"{total:,} events in 24 hours, at most {most:,} in one of them"
    return _graph([each.events for each in hours], label)


def known_bars(hours: Sequence[KnownHour]) -> Markup:
    """Return a bar for each hour, the oldest first; none where no process reported it."""
    known = [each.count.events for each in hours if each.count is not None]
    gaps = len(hours) - len(known)
    label = (
        f"{sum(known):,} events in 24 hours, at most {max(known):,} in one of them"
        if known
        else "Nothing is known yet"
    )
    if known and gaps:
        label += f"; {gaps} of the hours are not known"
    return _graph([None if each.count is None else each.count.events for each in hours], label)


def lag_bars(slots: Sequence[DeliverySlot]) -> Markup:
    """Return a bar for each quarter of an hour, the oldest first; none where nothing is known."""
    known = [each.lag for each in slots if each.lag is not None]
    label = (
        f"Events not delivered yet: last {known[-1]:,}, at most {max(known):,}"
        if known
        else "Nothing is known yet"
    )
    return _graph([each.lag for each in slots], label)


def age_bars(slots: Sequence[DeliverySlot]) -> Markup:
    """Return a bar for each quarter of an hour, as `lag_bars` does, for the age of the oldest event."""
    known = [each.age for each in slots if each.age is not None]
    label = (
        f"Age of the oldest event not delivered yet: last {duration(known[-1])}, at most {duration(max(known))}"
        if known
        else "Nothing is known yet"
    )
    return _graph([each.age for each in slots], label)


def _graph(values: Sequence[float | None], label: str) -> Markup:
    most, place = max((each for each in values if each is not None), default=0), _WIDTH / max(1, len(values))
    shapes = Markup().join(
        Markup('<rect x="{}" y="{}" width="{}" height="{}"/>').format(
            round(number * place, 2), _HEIGHT - height, round(place * _BAR_SHARE, 2), height
        )
        for number, height in (
            (number, _height(value, most)) for number, value in enumerate(values) if value is not None
        )
    )
    return Markup(
        '<svg class="bars" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">{}</svg>'
    ).format(label, _WIDTH, _HEIGHT, _WIDTH, _HEIGHT, shapes)


def _height(value: float, most: float) -> int:
    """Return the height of a bar: 1 for none, so that the axis shows, and at least 3 for any."""
    return 1 if not value else max(3, round(_HEIGHT * value / most))
