"""The result of a check, from the findings of this process and the reports of running services. Pure."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from consumer.targets.target import Pause
from management.formatting import iso_seconds
from relay.status.model import Status

CheckState = Literal["ok", "unknown", "failed"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check. `message`: the finding, or what to fix. `unknown`: it could not be tested."""

    subject: str
    state: CheckState
    message: str

    @property
    def ok(self) -> bool:
        """Whether nothing has to be fixed, as far as is known."""
        return self.state != "failed"

    def document(self) -> dict[str, object]:
        """Return the JSON document."""
        return {"subject": self.subject, "ok": self.ok, "state": self.state, "message": self.message}


Check = Callable[[], Awaitable[CheckResult]]


@dataclass(frozen=True, slots=True)
class ShellTest:
    """The test of a connection from this process, whose identity and network may differ from the services'.

    `outcome`: `refused` if the answer holds for the services too, `failed` if the cause may be this process.
    """

    outcome: Literal["passed", "failed", "refused"]
    message: str
    user: str | None = None
    """The user of this process. None: the peer sees another identity, such as an API key."""

    @property
    def place(self) -> str:
        return f"from this shell, as {self.user}" if self.user else "from this shell"


def combine(
    subject: str, services: str, status: Status | None, test: ShellTest, now_ms: int, grace_ms: int
) -> CheckResult:
    """Return the result of a connection that services use. `services`: the reporting services, in the plural.

    1. An answer that holds for the services too decides.
    2. Else the report of running services decides: their identity and network are the ones that matter.
    3. Without a valid report, the test of this process decides.
    4. Services that wait for their peer have failed after `grace_ms`, in ms.
    """
    if status is None:
        return _from_shell(subject, test, f"No report of {services} exists yet.")
    if now_ms > status.valid_until:
        return _from_shell(subject, test, f"The {services} have not reported since {iso_seconds(status.at)}.")
    report = f"{status.state} since {iso_seconds(status.since)}, as the {services} report"
    waits_too_long = status.state == "waiting" and now_ms - status.since > grace_ms
    if status.state in {"failing", "paused"} or waits_too_long:
        reason = (status.reason or "").removeprefix(f"{subject.partition(' ')[2]}: ")
        own_test = _describe(test, same=test.message == reason)
        return CheckResult(subject, "failed", f"{report}{f': {reason}' if reason else '.'} {own_test}")
    if test.outcome == "refused":
        return CheckResult(subject, "failed", f"{test.message} Until now it was {report}.")
    return CheckResult(subject, "ok", f"{report}. {_describe(test)}")


def paused_result(subject: str, name: str, pause: Pause, test: ShellTest) -> CheckResult:
    """Return the result of a destination that an operator has paused. Nobody delivers, so the test of this process decides."""
    remark = f"{pause.who} paused it at {iso_seconds(pause.at)}; `jira-relay destinations resume {name}` makes it go on."
    return _from_shell(subject, test, remark)


def _from_shell(subject: str, test: ShellTest, remark: str) -> CheckResult:
    if test.outcome == "passed":
        return CheckResult(subject, "ok", f"{test.message} ({test.place}). {remark}")
    return CheckResult(subject, "failed", f"{test.message} Tested {test.place}. {remark}")


def _describe(test: ShellTest, *, same: bool = False) -> str:
    verb = "passed" if test.outcome == "passed" else "failed"
    place = test.place[:1].upper() + test.place[1:]
    return f"{place}, the test gave the same result." if same else f"{place}, the test {verb}: {test.message}"
