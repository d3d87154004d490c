"""Small graphs as inline SVG, without style attributes, which the Content-Security-Policy refuses. Pure."""

from collections.abc import Sequence

from markupsafe import Markup

from relay.status.model import HourCount

_WIDTH, _HEIGHT, _GAP = 4, 24, 1


def bars(hours: Sequence[HourCount]) -> Markup:
    """Return a bar for each hour, the oldest first; the text for a reader that sees no graph says the same in words."""
    most = max((each.events for each in hours), default=0)
    total = sum(each.events for each in hours)
    shapes = Markup().join(
        Markup('<rect x="{}" y="{}" width="{}" height="{}"/>').format(
            number * (_WIDTH + _GAP), _HEIGHT - height, _WIDTH, height
        )
        for number, height in enumerate(_height(each.events, most) for each in hours)
    )
    label = f"{total:,} events in 24 hours, at most {most:,} in one of them"
    width = len(hours) * (_WIDTH + _GAP)
    return Markup(
        '<svg class="bars" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">{}</svg>'
    ).format(label, width, _HEIGHT, width, _HEIGHT, shapes)


def _height(value: int, most: int) -> int:
    """Return the height of a bar: 1 for none, so that the axis shows, and at least 3 for any."""
    return 1 if not value else max(3, round(_HEIGHT * value / most))
