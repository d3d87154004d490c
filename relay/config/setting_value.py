"""A setting as it was written: its value, and the variable or the file that holds it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.config.names import SettingName


@dataclass(frozen=True, slots=True)
class References:
    """References to secrets in stores, in the shape of the setting's value: a text, a list or a table."""

    value: Any


@dataclass(frozen=True, slots=True)
class SettingValue:
    """A value as it was written."""

    value: Any
    source: str
    """The variable or the file that holds it, as messages name it."""
    directory: Path | None = None
    """Where the value starts if it is a relative path. None: it is not a path, or starts at the working directory."""

    @property
    def resolved(self) -> Any:
        """The value, with the directory before a relative path. Messages show `value`: it may be a secret in the wrong place."""
        if self.directory is None or not isinstance(self.value, str) or self.value.startswith("~"):
            return self.value
        return str(self.directory / self.value) if self.value else self.value


def is_safe_to_show(name: SettingName, value: Any) -> bool:
    """Return whether a message may show a wrong value: not if it may be a secret that was written in the wrong place."""
    if not isinstance(value, str):
        return isinstance(value, int | float)
    if name[-1].endswith("_file") and not value.startswith(("/", ".", "~")):
        return False
    return len(value) <= 80 and not set("@=;\n") & set(value)
