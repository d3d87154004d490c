import asyncio

from embedded.errors import EmbeddedKafkaError
from relay.kafka.topics import Topics
from tests.chaos import tail
from tests.chaos.course import Course
from tests.chaos.plan import Event
from tests.chaos.processes import AIM_SECONDS
from tests.chaos.proxy import END_TXN, Stage


class Broker:
    """What is done to Kafka."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._busy = False

    async def do(self, event: Event) -> bool:
        if self._busy:
            return False
        self._busy = True
        try:
            async with self._course.disturbing(sink=True):
                await self._end_kafka(event)
                await self._course.hold(event.seconds)
                await self._start_kafka()
                self._course.say("Kafka is back.")
        finally:
            self._busy = False
        return True

    async def _end_kafka(self, event: Event) -> None:
        kafka, when = self._course.world.kafka, ""
        if event.kind == "kafka stop":
            self._course.say(f"Kafka stopped with SIGTERM, away for {event.seconds:.1f} s.")
            await kafka.stop()
            return
        if event.kind == "aimed kafka kill":
            when = await self._aim_at_kafka()
        kafka.kill()
        if event.kind == "lost tail":
            await kafka.wait_for_exit()
            when = self._cut_a_tail(event)
        self._course.say(f"Kafka killed{when}, away for {event.seconds:.1f} s.")

    def _cut_a_tail(self, event: Event) -> str:
        """What was lost, in words."""
        topics = Topics(self._course.world.connection.kafka.topic_prefix)
        topic = self._course.chance.choice((topics.events, topics.events, topics.progress, topics.backfill))
        shard = int(event.target * self._course.world.connection.kafka.shards)
        batches = 1 + int(event.how * 6)
        lost = tail.cut(self._course.world.directory / "kafka" / "log" / f"{topic}-{shard}", batches)
        return f", and the last {lost} batches of {topic}, partition {shard}, lost"

    async def _aim_at_kafka(self) -> str:
        producers = [slot for slot in self._course.world.slots if not slot.consumes]
        stage: Stage = self._course.chance.choice(("after", "answered", "answered"))
        pause = self._course.chance.choice((0.0, 0.001, 0.002, 0.004))
        waiting = {
            asyncio.ensure_future(
                slot.proxy.trapped(END_TXN, self._course.world.kafka.kill, stage, pause, AIM_SECONDS)
            )
            for slot in producers
        }
        done, late = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in late:
            each.cancel()
        if late:
            await asyncio.wait(late)
        hit = any(each.result() for each in done)
        did = "answered" if stage == "answered" else "got"
        return f" when it had {did} the end of a transaction" if hit else ""

    async def _start_kafka(self) -> None:
        for _ in range(5):
            try:
                await self._course.world.kafka.start()
            except EmbeddedKafkaError as error:
                self._course.say(f"Kafka did not start: {error}")
                await asyncio.sleep(1)
            else:
                return
        raise AssertionError("Kafka cannot be started again.")
