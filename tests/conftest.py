import asyncio
import gc
import os
import uuid

import hypothesis
import pytest

from embedded import EmbeddedKafka
from tests.support.authorization_server import AuthorizationServer
from tests.support.authorizing_kafka import AuthorizingKafka
from tests.support.kafka import STEADY
from tests.support.opensearch import running_opensearch
from tests.support.registry import running_registry
from tests.support.scheduling import ScheduleByServer, in_order
from tests.support.secure_kafka import SecureKafka

# A panic of polars, which tests provoke by the thousand, would look up the names of a hundred stack frames.
os.environ["RUST_BACKTRACE"] = "0"

# No deadline for an example: its time depends on the load of the machine.
# Each run draws the same examples, so that a change fails for what it changed; `make explore` draws new ones.
PROPERTIES = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("relay", PROPERTIES, derandomize=True)
hypothesis.settings.register_profile("explore", PROPERTIES, max_examples=1_000)
hypothesis.settings.load_profile("relay")


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory):
    """A real broker for the whole run. A test that kills or stops a broker starts another one.

    Its log cleaner does not run: half a minute after the start it would delete records that tests write with a time
    more than a month ago.
    """
    async with EmbeddedKafka(
        tmp_path_factory.mktemp("kafka"),
        heap="512m",
        flush_each_write=False,
        extra_properties={"log.initial.task.delay.ms": str(86_400_000), **STEADY},
    ) as broker:
        yield broker


@pytest.fixture(scope="session")
async def auto_creating_kafka(tmp_path_factory):
    """A real broker that creates each missing topic that a client names, as many shared clusters do."""
    async with EmbeddedKafka(
        tmp_path_factory.mktemp("creating"),
        heap="384m",
        flush_each_write=False,
        extra_properties={"auto.create.topics.enable": "true", **STEADY},
    ) as broker:
        yield broker


@pytest.fixture(scope="session")
async def secure_kafka(tmp_path_factory):
    """A real broker with TLS and every kind of login."""
    async with SecureKafka(tmp_path_factory.mktemp("secure")) as broker:
        yield broker


@pytest.fixture(scope="session")
async def authorizing_kafka(tmp_path_factory):
    """A real broker with an authorizer, and a user who may do nothing but what a test grants."""
    async with AuthorizingKafka(tmp_path_factory.mktemp("authorizing")) as broker:
        yield broker


@pytest.fixture
async def authorization_server(secure_kafka):
    """A simulated authorization server whose tokens `secure_kafka` accepts."""
    async with AuthorizationServer(secure_kafka.signing_key) as server:
        yield server


@pytest.fixture(scope="session")
async def real_registry(tmp_path_factory):
    """The address of a real schema registry, as Confluent's clients want it."""
    async with running_registry(tmp_path_factory.mktemp("registry")) as url:
        yield url


@pytest.fixture(scope="session")
async def opensearch(tmp_path_factory):
    """A real OpenSearch for the whole run, without templates."""
    async with running_opensearch(tmp_path_factory.mktemp("opensearch")) as cluster:
        yield cluster


@pytest.fixture
def prefix():
    """A prefix for topics and groups that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
async def _no_background_failure():
    """Fail the test when a background task or future failed and nothing awaited it."""
    failures = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: failures.append(context))
    yield
    await asyncio.sleep(0)
    gc.collect(1)
    loop.set_exception_handler(None)
    for failure in failures:
        raise AssertionError(f"In the background: {failure['message']}") from failure.get("exception")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return ScheduleByServer(config, log)


def pytest_collection_modifyitems(items):
    items[:] = in_order(items)
