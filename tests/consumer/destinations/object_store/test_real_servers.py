"""Azurite and versitygw, servers that others wrote: each event once, and the condition is obeyed."""

import asyncio
import base64
import hmac
from contextlib import asynccontextmanager
from email.utils import formatdate
from random import Random
from string import ascii_letters

import httpx
import obstore
import pytest
from obstore.store import AzureStore, S3Store

from consumer.destinations.outcome import Paused, Sent
from embedded.ports import pick_free_port
from relay.kafka import TopicPartition
from tests.support.archives import archive, lake, missing_of, offsets_of, read
from tests.support.messages import event
from tests.support.object_stores import body, body_of_events, opened, uids
from tests.support.parquet_objects import rows_of, stored_uids
from tests.support.real_servers import running

# The account of every Azurite, from Microsoft's documentation.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
INSTALL_AZURITE = "npm install --global azurite"
INSTALL_VERSITYGW = "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0"


@asynccontextmanager
async def azurite(directory):
    port = pick_free_port()
    arguments = ("--blobPort", str(port), "--location", str(directory), "--skipApiVersionCheck", "--silent")
    async with running("azurite-blob", INSTALL_AZURITE, port, *arguments):
        endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        (directory / "credential").write_text(ACCOUNT_KEY)
        client = AzureStore(
            "audit",
            account_name=ACCOUNT,
            account_key=ACCOUNT_KEY,
            endpoint=endpoint,
            client_options={"allow_http": True},
        )
        await create_container(endpoint)
        yield f"az://{ACCOUNT}/audit/jira", {"endpoint": endpoint}, client


async def create_container(endpoint):
    """Create the container, which obstore cannot (Microsoft Learn, "Authorize with Shared Key")."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    text = f"PUT{12 * chr(10)}{lines}/{ACCOUNT}/{ACCOUNT}/audit\nrestype:container"
    signature = base64.b64encode(hmac.digest(base64.b64decode(ACCOUNT_KEY), text.encode(), "sha256"))
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature.decode()}"
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.put(f"{endpoint}/audit?restype=container", headers=headers)
    assert answer.status_code == 201, answer.text


@asynccontextmanager
async def versitygw(directory):
    port, root = pick_free_port(), directory / "root"
    (root / "audit").mkdir(parents=True)
    key, secret = "AKIDEXAMPLE", "a-long-secret-key"
    variables = {"ROOT_ACCESS_KEY": key, "ROOT_SECRET_KEY": secret}
    async with running(
        "versitygw", INSTALL_VERSITYGW, port, "--port", f"127.0.0.1:{port}", "posix", str(root), **variables
    ):
        endpoint = f"http://127.0.0.1:{port}"
        (directory / "credential").write_text(
            f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        )
        client = S3Store(
            "audit",
            endpoint=endpoint,
            access_key_id=key,
            secret_access_key=secret,
            client_options={"allow_http": True},
        )
        yield "s3://audit/jira", {"endpoint": endpoint}, client


async def stored(client):
    """Every object, read by another client."""
    found = {}
    async for page in obstore.list(client):
        for each in page:
            found[each["path"]] = bytes(await (await obstore.get_async(client, each["path"])).bytes_async())
    return found


async def one_large_object_is_read_in_parts(location, options):
    """A successor finds the end of an object above 64 KB, and adds nothing to it."""
    random = Random(7)
    lake = {"format": "ocsf", "layout": "security-lake", "region": "us-east-1"}
    texts = ["".join(random.choices(ascii_letters, k=30_000)) for _ in range(8)]
    events = [event(number, description=text) for number, text in enumerate(texts)]
    for count in (6, 8):
        async with opened(location, **options, **lake) as flows:
            sent = body_of_events(flows["live"], events[:count], range(count))
            assert await flows["live"].send(sent) == Sent()


@pytest.mark.parametrize("server", [azurite, versitygw], ids=lambda server: server.__name__)
async def test_each_event_is_once_in_a_store_that_others_wrote(server, tmp_path):
    """Two owners at a time, other boundaries, a position within an object, and a wrong credential."""
    async with server(tmp_path) as (location, options, client):
        options |= {"credential_file": tmp_path / "credential"}
        async with opened(location, **options) as first, opened(location, **options) as second:
            assert await first["live"].probe() == Sent()
            bodies = [(first, range(10, 20)), (second, range(10, 24)), (second, range(10, 15))]
            sent = [flows["live"].send(body(flows["live"], part)) for flows, part in bodies]
            assert await asyncio.gather(*sent) == [Sent()] * 3
            for part in (range(12, 16), range(16, 40)):
                assert await second["live"].send(body(second["live"], part)) == Sent()
            assert await first["live"].send(body(first["live"], range(20, 45))) == Sent()
            assert await first["history"].send(body(first["history"], range(10, 20))) == Sent()
        async with archive(lake(location, **options)) as reader:
            chunks = await read(reader, 12, 45, TopicPartition("events", 0))
            assert (offsets_of(chunks), missing_of(chunks)) == (list(range(12, 45)), [])
        await one_large_object_is_read_in_parts(location, options)
        objects = await stored(client)
        assert stored_uids(objects, "jira/live/") == uids(range(10, 45))
        assert stored_uids(objects, "jira/history/") == uids(range(10, 20))
        large = {
            key: content for key, content in objects.items() if "/accountId=external_jira/eventDay=" in key
        }
        assert [row["metadata"]["uid"] for row in rows_of(large)] == uids(range(8))
        assert all(key.endswith(".parquet") for key in objects)
        content = (tmp_path / "credential").read_text()
        (tmp_path / "credential").write_text(content.replace("a-long", "a-wrong").replace("Eby8", "Eby9"))
        async with opened(location, **options) as wrong:
            assert isinstance(await wrong["live"].probe(), Paused)
