import asyncio
from collections.abc import Sequence

from embedded import EmbeddedKafka
from embedded.errors import EmbeddedKafkaError
from relay.kafka.topics import Topics
from tests.chaos.context import RoundContext
from tests.chaos.plan import PlannedDisturbance
from tests.chaos.process_faults import AIM_TIMEOUT_SECONDS
from tests.support import log_tail
from tests.support.kafka_cluster import SESSION_MS
from tests.support.kafka_proxy import END_TXN, Stage


class KafkaFaults:
    """Stops and kills brokers, one fault at a time, and starts them again."""

    def __init__(self, context: RoundContext) -> None:
        self._context = context
        self._nodes = context.world.nodes
        self._busy = False

    async def execute(self, disturbance: PlannedDisturbance) -> bool:
        """Play a fault of Kafka. Return False if one is being played already."""
        if self._busy:
            return False
        self._busy = True
        try:
            async with self._context.recording_disturbance(sink=True):
                if disturbance.kind == "rolling restart":
                    await self._restart_each(disturbance)
                elif disturbance.kind == "controller kill":
                    await self._kill_controller(disturbance)
                elif disturbance.kind == "unclean election":
                    await self._elect_stale_copy(disturbance)
                else:
                    await self._take_away(disturbance)
        finally:
            self._busy = False
        return True

    async def _take_away(self, disturbance: PlannedDisturbance) -> None:
        count = {"two brokers": 2, "all brokers": 3}.get(disturbance.kind, 1)
        first = int(disturbance.target * len(self._nodes))
        numbers = [(first + each) % len(self._nodes) for each in range(count)]
        what = await self._stop_nodes([self._nodes[each] for each in numbers], disturbance)
        name = ", ".join(f"broker {each + 1}" for each in numbers) if len(self._nodes) > 1 else "Kafka"
        self._context.log(f"{name}: {what}; away for {disturbance.seconds:.1f} s.")
        await self._context.wait(disturbance.seconds)
        await asyncio.gather(*(self._start(self._nodes[each]) for each in numbers))
        self._context.log(f"{name}: back.")

    async def _restart_each(self, disturbance: PlannedDisturbance) -> None:
        """Restart the brokers in turn, as an upgrade does it, each when the one before is back."""
        for number, node in enumerate(self._nodes, 1):
            await node.stop()
            await self._context.wait(disturbance.seconds / len(self._nodes))
            await self._start(node)
            self._context.log(f"broker {number}: restarted.")

    async def _kill_controller(self, disturbance: PlannedDisturbance) -> None:
        controllers = self._context.world.controllers
        number = int(disturbance.target * len(controllers))
        controllers[number].kill()
        self._context.log(f"controller {number + 1}: killed; away for {disturbance.seconds:.1f} s.")
        await self._context.wait(disturbance.seconds)
        await self._start(controllers[number])
        self._context.log(f"controller {number + 1}: back.")

    async def _elect_stale_copy(self, disturbance: PlannedDisturbance) -> None:
        """Let a broker lead everything that lacks what the others acknowledged while it was away. They drop that when they return."""
        nodes = self._context.world.nodes
        number = int(disturbance.target * len(nodes))
        others = [each for each in nodes if each is not nodes[number]]
        nodes[number].kill()
        self._context.log(f"broker {number + 1}: killed, so that its copies fall behind.")
        await asyncio.sleep(SESSION_MS / 1_000 + disturbance.seconds)
        for node in others:
            node.kill()
        await asyncio.gather(*(node.wait_for_exit() for node in others))
        await self._start(nodes[number])
        self._context.log(f"broker {number + 1}: leads everything alone, without what it missed.")
        await self._context.wait(disturbance.seconds)
        await asyncio.gather(*(self._start(node) for node in others))
        self._context.log("the other brokers: back, with its copies.")

    async def _stop_nodes(self, nodes: Sequence[EmbeddedKafka], disturbance: PlannedDisturbance) -> str:
        """Stop the brokers; return how, as a clause of a sentence."""
        when = ""
        if disturbance.kind == "kafka stop":
            await asyncio.gather(*(node.stop() for node in nodes))
            return "stopped with SIGTERM"
        if disturbance.kind == "aimed kafka kill":
            when = await self._kill_at_transaction_end(nodes[0])
        for node in nodes:
            node.kill()
        if disturbance.kind == "lost tail":
            await nodes[0].wait_for_exit()
            when = self._truncate_log(disturbance)
        return f"killed{when}"

    def _truncate_log(self, disturbance: PlannedDisturbance) -> str:
        """Cut the end off a partition's log; return the loss as a clause of a sentence."""
        topics = Topics(self._context.world.connection.kafka.topic_prefix)
        topic = self._context.rng.choice((topics.events, topics.events, topics.progress, topics.backfill))
        shard = int(disturbance.target * self._context.world.connection.kafka.shards)
        batches = 1 + int(disturbance.variant * 6)
        lost = log_tail.truncate_log(
            self._context.world.directory / "kafka" / "log" / f"{topic}-{shard}", batches
        )
        return f" and lost the last {lost} batches of {topic}, partition {shard}"

    async def _kill_at_transaction_end(self, node: EmbeddedKafka) -> str:
        producers = [slot for slot in self._context.world.slots if not slot.is_consumer]
        stage: Stage = self._context.rng.choice(("after", "answered", "answered"))
        pause = self._context.rng.choice((0.0, 0.001, 0.002, 0.004))
        waiting = {
            asyncio.ensure_future(
                slot.proxy.run_at_request(END_TXN, node.kill, stage, pause, AIM_TIMEOUT_SECONDS)
            )
            for slot in producers
        }
        done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in pending:
            each.cancel()
        if pending:
            await asyncio.wait(pending)
        hit = any(each.result() for each in done)
        reached = "answered" if stage == "answered" else "received"
        return f" when it had {reached} the end of a transaction" if hit else ""

    async def _start(self, node: EmbeddedKafka) -> None:
        for _ in range(5):
            try:
                await node.start()
            except EmbeddedKafkaError as error:
                self._context.log(f"Kafka did not start: {error}")
                await asyncio.sleep(1)
            else:
                return
        raise AssertionError("Kafka did not start again.")
