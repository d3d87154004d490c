"""The certificates that a bucket's client trusts, while their file is replaced."""

import asyncio
import shutil
import ssl

from structlog.testing import capture_logs

from consumer.destinations.object_store.cloud import CloudStore, Opened
from consumer.destinations.outcome import Retry, Sent
from simulators.object_store.s3 import credential, s3_bucket
from tests.support.certificates import CertificateAuthority
from tests.support.object_stores import body, opened


async def test_a_changed_ca_file_counts_without_a_restart(tmp_path):
    """A half-written file leaves the certificates of before, and the log says so once; the whole one is trusted, and ends it."""
    first, second = (CertificateAuthority(tmp_path, name) for name in ("first", "second"))
    issued = first.issue("server")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.num_tickets = 0  # a session that is resumed shows no certificate
    tls.load_cert_chain(issued.certificate, issued.key)
    ca_file = shutil.copy(first.file, tmp_path / "ca.pem")
    bucket = s3_bucket(tls)
    (tmp_path / "credential").write_text(credential(bucket))
    async with bucket:
        settings = {"region": "eu-west-1", "credential_file": tmp_path / "credential", "ca_file": ca_file}
        async with opened(f"s3://{bucket.name}/jira", endpoint=bucket.endpoint, **settings) as flows:
            live = flows["live"]
            assert await live.send(body(live, [1])) == Sent()

            with capture_logs() as logs:
                ca_file.write_text("-----BEGIN CERTIFICATE-----\nhalf")
                assert await live.send(body(live, [2])) == Sent()
                assert await live.send(body(live, [3])) == Sent()
            (warning,) = logs
            assert warning["log_level"] == "warning"
            assert f"destinations.lake.ca_file is {ca_file}, which holds no certificate" in warning["reason"]

            issued = second.issue("server")
            tls.load_cert_chain(issued.certificate, issued.key)
            await bucket.drop_connections()
            assert isinstance(await live.send(body(live, [4])), Retry)
            with capture_logs() as logs:
                shutil.copy(second.file, ca_file)
                assert await live.send(body(live, [4])) == Sent()
            (end,) = logs
            assert end["event"].startswith("Certificate files can be used again")


async def test_requests_at_once_share_the_client_of_a_changed_file(tmp_path):
    """Requests that begin while the client of before is closed take the new one: no third is opened, and none in use is closed."""
    ca_file, opened, closed = tmp_path / "ca.pem", [], []

    def open_client():
        number = len(opened)

        async def close():
            await asyncio.sleep(0)
            closed.append(number)

        opened.append(number)
        return Opened(number, close=close)

    store = CloudStore(open_client, "s3://jira", "lake", [ca_file])
    ca_file.write_text("new")

    clients = await asyncio.gather(*(store._open() for _ in range(3)))

    assert [each.client for each in clients] == [1, 1, 1]
    assert (opened, closed) == ([0, 1], [0])
