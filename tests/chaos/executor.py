import asyncio
from collections import Counter
from collections.abc import Iterable

from tests.chaos import plan
from tests.chaos.context import RoundContext
from tests.chaos.kafka_faults import KafkaFaults
from tests.chaos.peer_faults import AzureFaults, OrganizationFaults
from tests.chaos.plan import PlannedDisturbance
from tests.chaos.process_faults import ProcessFaults


class DisturbanceExecutor:
    """Plays the planned faults, then lets everything heal. `executed` counts them by kind."""

    def __init__(self, context: RoundContext, organizations: OrganizationFaults) -> None:
        self.executed: Counter[str] = Counter()
        self._context = context
        self._organizations = organizations
        self._processes = ProcessFaults(context)
        self._broker = KafkaFaults(context)
        self._sink = AzureFaults(context)

    async def run(self, disturbances: Iterable[PlannedDisturbance], seconds: float) -> None:
        """Play the faults; return when `seconds` have passed and every fault has been undone."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with asyncio.TaskGroup() as group:
            for disturbance in disturbances:
                await asyncio.sleep(max(0.0, started + disturbance.at - loop.time()))
                group.create_task(self._execute(disturbance))
            await asyncio.sleep(max(0.0, started + seconds - loop.time()))
            self._context.finished.set()
        self._context.world.azure.clear_faults()
        self._organizations.clear_faults()

    async def _execute(self, disturbance: PlannedDisturbance) -> None:
        if disturbance.kind in {*plan.PROCESS_KINDS, *plan.CHILD_KINDS}:
            done = await self._processes.execute(disturbance)
        elif disturbance.kind in plan.ALL_KAFKA_KINDS:
            done = await self._broker.execute(disturbance)
        elif disturbance.kind in plan.SINK_KINDS:
            done = await self._sink.execute(disturbance)
        else:
            done = await self._organizations.execute(disturbance)
        self.executed[disturbance.kind] += done
