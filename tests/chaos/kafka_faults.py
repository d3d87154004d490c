import asyncio

from embedded.errors import EmbeddedKafkaError
from relay.kafka.topics import Topics
from tests.chaos.context import RoundContext
from tests.chaos.plan import PlannedDisturbance
from tests.chaos.process_faults import AIM_TIMEOUT_SECONDS
from tests.support import log_tail
from tests.support.kafka_proxy import END_TXN, Stage


class KafkaFaults:
    """Stops and kills Kafka, one at a time, and starts it again."""

    def __init__(self, context: RoundContext) -> None:
        self._context = context
        self._busy = False

    async def execute(self, disturbance: PlannedDisturbance) -> bool:
        """Play a fault of Kafka. Return False if one is being played already."""
        if self._busy:
            return False
        self._busy = True
        try:
            async with self._context.recording_disturbance(sink=True):
                await self._stop_kafka(disturbance)
                await self._context.wait(disturbance.seconds)
                await self._start_kafka()
                self._context.log("Kafka is back.")
        finally:
            self._busy = False
        return True

    async def _stop_kafka(self, disturbance: PlannedDisturbance) -> None:
        kafka, when = self._context.world.kafka, ""
        if disturbance.kind == "kafka stop":
            self._context.log(f"Kafka was stopped with SIGTERM; it is away for {disturbance.seconds:.1f} s.")
            await kafka.stop()
            return
        if disturbance.kind == "aimed kafka kill":
            when = await self._kill_at_transaction_end()
        kafka.kill()
        if disturbance.kind == "lost tail":
            await kafka.wait_for_exit()
            when = self._truncate_log(disturbance)
        self._context.log(f"Kafka was killed{when}; it is away for {disturbance.seconds:.1f} s.")

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

    async def _kill_at_transaction_end(self) -> str:
        producers = [slot for slot in self._context.world.slots if not slot.is_consumer]
        stage: Stage = self._context.rng.choice(("after", "answered", "answered"))
        pause = self._context.rng.choice((0.0, 0.001, 0.002, 0.004))
        waiting = {
            asyncio.ensure_future(
                slot.proxy.run_at_request(
                    END_TXN, self._context.world.kafka.kill, stage, pause, AIM_TIMEOUT_SECONDS
                )
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

    async def _start_kafka(self) -> None:
        for _ in range(5):
            try:
                await self._context.world.kafka.start()
            except EmbeddedKafkaError as error:
                self._context.log(f"Kafka did not start: {error}")
                await asyncio.sleep(1)
            else:
                return
        raise AssertionError("Kafka did not start again.")
