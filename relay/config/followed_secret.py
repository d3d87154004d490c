"""A secret of the settings whose file or store may hold another value while the relay runs."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import SecretStr

from relay.errors import SettingsError

T = TypeVar("T")


def follow_secret(
    setting: SecretStr,
    parse: Callable[[str], T],
    on_change: Callable[[T], None],
    on_unusable: Callable[[SettingsError], None],
) -> tuple[T, Callable[[], T | None]]:
    """Return the value of now, and a function that returns the value after each change of the text. None: the one of before counts.

    `parse` raises SettingsError for a text that is of no use; so does this function if the text of now is none. `on_change` is
    called for another value than the last one that was of use, and `on_unusable` once for each text that is not.
    """
    seen = setting.get_secret_value()
    first = used = parse(seen)

    def changed() -> T | None:
        nonlocal seen, used
        text = setting.get_secret_value()
        if text == seen:
            return None
        seen = text
        try:
            value = parse(text)
        except SettingsError as error:
            on_unusable(error)
            return None
        if value != used:
            on_change(value)
        used = value
        return value

    return first, changed
