"""A secret of the settings that a file holds."""

from collections.abc import Callable
from pathlib import Path

import structlog
from pydantic import SecretStr

log = structlog.get_logger(__name__)


class FileSecret(SecretStr):
    """A secret whose value is that of its file at each call, though the settings are read once.

    A file that cannot be read, or is empty as at the begin of a write, leaves the value that was read before. A pipe gives its
    content once, and would be waited for a second time for ever.
    """

    def __init__(self, setting: str, path: Path, text: str) -> None:
        """`setting`: its name, for the log. `text`: what the file held at the start."""
        super().__init__(text)
        self.setting = setting
        self.path = path
        self._is_read_again = not path.exists() or path.is_file()
        self._known = text
        self._fault: str | None = None
        self._listener: Callable[[str], None] = lambda _: None

    def report_to(self, on_secret: Callable[[str], None]) -> None:
        """Call `on_secret` with each value that is read later, before anybody gets it."""
        self._listener = on_secret

    def get_secret_value(self) -> str:
        """Return the text of the file, or the last known one."""
        if not self._is_read_again:
            return self._known
        try:
            text, fault = read_secret_text(self.path), None
        except SecretFileError as error:
            text, fault = self._known, str(error)
        if fault != self._fault:
            self._log_change(fault)
        if text != self._known:
            self._listener(text)
            self._known = text
            log.info("A secret has another value in its file.", setting=self.setting)
        return self._known

    def _log_change(self, fault: str | None) -> None:
        self._fault = fault
        if fault is None:
            log.info("The file of a secret can be read again.", setting=self.setting)
        else:
            log.warning(
                "The file of a secret cannot be used; the old value is used. Write the secret into it.",
                setting=self.setting,
                reason=fault,
            )

    def __len__(self) -> int:
        return len(self.get_secret_value())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretStr) and self.get_secret_value() == other.get_secret_value()

    def __hash__(self) -> int:
        """Return the number of the first value, whatever the file holds now: settings are keys of what was opened with them."""
        return hash(self._secret_value)

    def _display(self) -> str:
        return "**********"


class SecretFileError(ValueError):
    """The file holds no secret now. The text completes "the file …"."""


def read_secret_text(path: Path) -> str:
    """Return the text of a file without its last line break. Raises SecretFileError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise SecretFileError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise SecretFileError("cannot be read: not UTF-8 text") from None
    content = text.removesuffix("\n").removesuffix("\r")
    if not content:
        raise SecretFileError("is empty")
    return content
