"""The end of a job whose events are rejected, and of which nothing shows whether they or the configuration are at fault."""

import asyncio

from consumer.delivery.flow import DeliveryFlow
from consumer.replay.place_keeper import PlaceKeeper
from consumer.timing import ReplayTiming


class RejectionWatch:
    """Finds that only rejected events are left, or that the destination accepts nothing of the job.

    1. A rejected event becomes a dead letter only when the destination accepts another one after it. Unlike live delivery, a job
       ends: behind its last events comes none. So it ends as failed, and its events are neither letters nor lost.
    2. A job of which nothing was accepted has nothing to lose by its end, wherever it is.
    3. A job that is rejected in its middle, after the destination has accepted events of it, waits as live delivery does.
    """

    def __init__(self, flow: DeliveryFlow, keeper: PlaceKeeper, timing: ReplayTiming) -> None:
        self._flow = flow
        self._keeper = keeper
        self._timing = timing
        self._accepted = -1
        self._seconds = 0.0
        """How long rejected events have waited in vain, since the last acceptance."""
        self.all_started = False
        """Whether every event of the job was sent at least once."""

    @property
    def counts(self) -> bool:
        """Whether the job ends soon, unless the destination accepts an event of it."""
        return self._seconds > 0

    async def run(self) -> str:
        """Return why the job must end as failed; without such a reason, run until cancelled."""
        while self._seconds < self._timing.rejected_seconds:
            await asyncio.sleep(self._timing.watch_seconds)
            self._look(self._timing.watch_seconds)
        return self._text()

    def _look(self, seconds: float) -> None:
        """Count the time since the last look, unless the destination is away."""
        accepted, self._accepted = self._accepted, self._flow.state.accepted
        if accepted != self._accepted or (self._keeper.has_sent and not self.all_started):
            self._seconds = 0.0
        elif self._flow.state.open_rejections and self._flow.routes.all_answer:
            self._seconds += seconds

    def _text(self) -> str:
        problem = self._flow.problem
        found = [problem.reason] if problem else [*self._flow.state.open_rejections]
        reason = " ".join(found[:1])
        if not self._keeper.has_sent:
            return (
                f"The destination has accepted none of its events: {reason} Its configuration is the likely cause, so no dead letter"
                " was made. Mend it, and start the replay again."
            )
        return (
            f"Its last events were rejected until it ended: {reason} No other event was left to show whether these or the"
            " configuration are at fault. Mend the cause, and start a replay of them again."
        )
