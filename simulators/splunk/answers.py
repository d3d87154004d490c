"""The answers of an HTTP Event Collector, word for word.

Source: Splunk Enterprise, "Troubleshoot HTTP Event Collector", "Possible error codes".
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class HecAnswer:
    """Status, code and text; `event` is the number of the event that is to blame, from 0."""

    status: int
    code: int
    text: str
    event: int | None = None

    def document(self) -> dict[str, Any]:
        number = {} if self.event is None else {"invalid-event-number": self.event}
        return {"text": self.text, "code": self.code, **number}

    def about(self, event: int) -> "HecAnswer":
        """Return the same answer about this event."""
        return HecAnswer(self.status, self.code, self.text, event)


class HecError(Exception):
    """A check of the collector ends with this answer."""

    def __init__(self, answer: HecAnswer) -> None:
        super().__init__(answer.text)
        self.answer = answer


TOKEN_DISABLED = HecAnswer(403, 1, "Token disabled")
TOKEN_REQUIRED = HecAnswer(401, 2, "Token is required")
INVALID_AUTHORIZATION = HecAnswer(401, 3, "Invalid authorization")
INVALID_TOKEN = HecAnswer(403, 4, "Invalid token")
NO_DATA = HecAnswer(400, 5, "No data")
INVALID_FORMAT = HecAnswer(400, 6, "Invalid data format")
INCORRECT_INDEX = HecAnswer(400, 7, "Incorrect index")
SERVER_ERROR = HecAnswer(500, 8, "Internal server error")
BUSY = HecAnswer(503, 9, "Server is busy")
CHANNEL_MISSING = HecAnswer(400, 10, "Data channel is missing")
INVALID_CHANNEL = HecAnswer(400, 11, "Invalid data channel")
EVENT_REQUIRED = HecAnswer(400, 12, "Event field is required")
EVENT_BLANK = HecAnswer(400, 13, "Event field cannot be blank")
ACK_DISABLED = HecAnswer(400, 14, "ACK is disabled")
BAD_FIELDS = HecAnswer(400, 15, "Error in handling indexed fields")
HEALTHY = HecAnswer(200, 17, "HEC is healthy")
QUEUES_FULL = HecAnswer(503, 18, "HEC is unhealthy, queues are full")
SHUTTING_DOWN = HecAnswer(503, 23, "Server is shutting down")
AT_CAPACITY = HecAnswer(429, 26, "HEC queue at capacity")
ACK_AT_CAPACITY = HecAnswer(429, 27, "ACK channel at capacity")

ALL = tuple(each for each in list(globals().values()) if isinstance(each, HecAnswer))
