"""The time that a record of a format has, where it can have either."""

from typing import Literal

RecordTime = Literal["created", "collected"]
