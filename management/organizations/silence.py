"""The silence of an organization, in words. Pure."""

from management.formatting import duration, iso_seconds
from relay.status.model import Silence
from relay.timestamps import HOUR_MS

UNKNOWN = "unknown"
"""The word for an organization whose source gives no answer now, so that nothing is known of its silence."""


def silence_text(silence: Silence) -> str:
    """Return what is known of a silence that was shown by the source."""
    lasted = silence.until - silence.since
    since = f"no event since {iso_seconds(silence.since)}"
    if silence.word == "learning":
        return f"learning until {iso_seconds(silence.learning_until)}: until then it is not known which silence is usual"
    if silence.word == "silent":
        return f"silent: {since}, {unlikely_text(silence)}"
    if lasted < HOUR_MS:
        return "an event in the hour before the last answer"
    return f"quiet: {since}, and the source answers; {_chance(silence)}{_longest(silence)}"


def unlikely_text(silence: Silence) -> str:
    """Return why a silence is named."""
    if silence.learning_until is not None:
        return f"for {duration(silence.until - silence.since)}; which silence is usual is known from {iso_seconds(silence.learning_until)} on"
    if silence.probability is None:
        return "and nothing to compare that with"
    return f"which is unlikely; {_chance(silence)}{_longest(silence)}"


def percent(probability: float) -> str:
    """Return a probability as `37 %`, `0.04 %` or `below 0.001 %`."""
    if probability < 0.00001:
        return "below 0.001 %"
    return f"{100 * probability:.0f} %" if probability >= 0.095 else f"{100 * probability:.1g} %"


def _chance(silence: Silence) -> str:
    if silence.probability is None:
        return "no event was ever seen"
    return f"a feed that works is silent for so long with a chance of {percent(silence.probability)}"


def _longest(silence: Silence) -> str:
    return "" if silence.longest is None else f"; the longest before was {duration(silence.longest)}"
