"""The rules of one destination for events: which it receives, and which values it may see."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from consumer.decoding.event_schema import EVENT_COLUMNS
from consumer.decoding.row_encoding import RowEncoder, Selector
from consumer.destinations.contract import DestinationConfig
from consumer.formats.filter import FilterError, compile_filter
from consumer.formats.privacy import PrivacyError, compile_privacy
from relay.errors import SettingsError, sentence


@dataclass(frozen=True, slots=True)
class EventRules:
    """The compiled settings `where` and `hide`. The filter sees the values that the privacy rules hide."""

    select: Selector | None = None
    """None: every event is sent."""
    hide: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    """None: nothing is hidden."""

    def encoder(self, encode_rows: RowEncoder) -> RowEncoder:
        """Return the encoder behind the privacy rules, so that no format sees a hidden value."""
        hide = self.hide
        return encode_rows if hide is None else lambda events: encode_rows(hide(events))


def compile_rules(name: str, config: DestinationConfig) -> EventRules:
    """Compile the rules of the destination `name`. Raises SettingsError, which names the setting and the correction."""
    try:
        select = None if config.where is None else compile_filter(config.where, EVENT_COLUMNS).mask
    except FilterError as error:
        raise SettingsError(sentence(f"destinations.{name}.where {error}")) from error
    if not config.hide:
        return EventRules(select)
    key = None if config.hide_key is None else config.hide_key.get_secret_value()
    try:
        return EventRules(select, compile_privacy(config.hide, key, EVENT_COLUMNS).hide)
    except PrivacyError as error:
        raise SettingsError(sentence(f"destinations.{name}.hide {error}")) from error
