"""A value made of files or secrets that an operator may replace while the relay runs."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import structlog

from relay.condition_log import NO_FIELDS, ConditionLog
from relay.errors import RelayError, describe

T = TypeVar("T")


class FollowedValue(Generic[T]):
    """Loads the value again once its stamp is another one.

    Content that cannot be used, as of a half-written file, leaves the value of before. Its fault gets a line, and so does its end.
    """

    def __init__(
        self,
        subject: str,
        stamp: Callable[[], object],
        load: Callable[[], T],
        fields: Mapping[str, object] = NO_FIELDS,
    ) -> None:
        """`subject` begins a line of the log, in the plural. `stamp` returns a value that differs once `load` may give another one.

        Raises the error of `load`: OSError, ValueError or RelayError for content that cannot be used.
        """
        self._subject = subject
        self._stamp = stamp
        self._load = load
        self._fields = fields
        self._log = ConditionLog(structlog.get_logger(__name__))
        self._loaded: tuple[T, object]
        """The value, and the stamp from before it was loaded. One attribute: HTTP clients begin connections in threads."""
        self.reload()

    def reload(self) -> None:
        """Load the value now. Raises the error of `load`, and leaves the value of before."""
        stamp = self._stamp()
        # A failure keeps the former stamp, and is tried again at each call: rights that are given later change no stamp.
        self._loaded = self._load(), stamp

    def current(self) -> T:
        """Return the value of now, or of before if that cannot be used."""
        if self._stamp() != self._loaded[1]:
            try:
                self.reload()
            except (OSError, ValueError, RelayError) as error:
                self._log_fault(describe(error))
                return self._loaded[0]
        self._log.ended(self._subject, f"{self._subject} can be used again; they could not be", self._fields)
        return self._loaded[0]

    def _log_fault(self, reason: str) -> None:
        self._log.failed(
            self._subject,
            reason,
            f"{self._subject} cannot be used; those of before are used. Replace them.",
            {**self._fields, "reason": reason},
            attempts=0,
        )
