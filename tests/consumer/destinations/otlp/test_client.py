"""The client of an OTLP backend: requests, headers, rotation, certificates, proxies, and what is never shown."""

import asyncio
import gzip

import pytest
from pydantic import ValidationError

from consumer.destinations.otlp.config import OtlpConfig, identity
from consumer.destinations.otlp.destination import open_otlp
from consumer.destinations.outcome import Dropped, Paused, Reject, Retry, Sent
from relay.errors import RelayError
from simulators import faults
from simulators.otlp.backend import OtlpBackend
from tests.support.certificates import CertificateAuthority, server_tls
from tests.support.messages import event
from tests.support.otlp import body_of, live_flow, twin

SECRET = "Api-Token right-right-right"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return CertificateAuthority(tmp_path_factory.mktemp("ca"), "ca")


@pytest.mark.parametrize(
    ("encoding", "content_type"), [("protobuf", "application/x-protobuf"), ("json", "application/json")]
)
async def test_a_request_has_the_path_the_type_and_the_headers(encoding, content_type):
    """The backend stores what the twin of the format says, and the headers of the settings arrive."""
    async with OtlpBackend() as backend:
        async with live_flow(backend, encoding=encoding, headers={"X-Scope-OrgID": "jira"}) as live:
            assert await live.send(body_of(live, event(1), event(2))) == Sent()
        (call,) = backend.calls
        assert call.path == "/live/v1/logs"
        assert call.headers["Content-Type"] == content_type
        assert call.headers["X-Scope-OrgID"] == "jira"
        assert gzip.decompress(call.body)
        resource = {"service.name": "jira-audit-relay", "jira.audit.flow": "live"}
        assert backend.stored("live") == [twin(event(number)) | {"resource": resource} for number in (1, 2)]


async def test_old_records_are_dead_letters_or_rejected_with_the_words_of_the_backend():
    """A backend that drops by age takes a record that has the time of collection."""
    old = event(1, created=1_000)
    async with OtlpBackend(max_age_seconds=86_400) as backend:
        async with live_flow(backend) as live:
            outcome = await live.send(body_of(live, event(2), old))
            assert outcome == Dropped(
                1, "200 the backend dropped 1 of 2 events: records are too old or not valid", 200
            )
            assert isinstance(await live.send(body_of(live, old)), Reject)
        async with live_flow(backend, partial_success="halve") as live:
            assert isinstance(await live.send(body_of(live, event(2), old)), Reject)
        async with live_flow(backend, time="collected") as live:
            assert await live.send(body_of(live, event(3), old)) == Sent()
        stored = backend.stored("live")[-1]
        assert stored["attributes"]["jira.audit.created"] == "1970-01-01T00:00:01.000Z"


async def test_a_warning_of_the_backend_is_kept():
    async with OtlpBackend() as backend, live_flow(backend) as live:
        backend.warning = "use the other endpoint"
        outcome = await live.send(body_of(live))
        assert (outcome, outcome.warning) == (Sent(), "use the other endpoint")


async def test_a_replaced_file_is_read_at_the_next_refusal(tmp_path):
    """A token is rotated without a restart, and no request is lost for it."""
    headers = tmp_path / "headers"
    headers.write_text("Authorization: Api-Token old-old-old\n")
    async with (
        OtlpBackend(credential={"Authorization": "Api-Token old-old-old"}) as backend,
        live_flow(backend, headers_file=headers) as live,
    ):
        assert await live.send(body_of(live)) == Sent()
        backend.credential["Authorization"] = SECRET
        assert isinstance(await live.send(body_of(live)), Paused)
        headers.write_text("Authoriz")
        outcome = await live.send(body_of(live))
        assert "destinations.logs.headers_file has a line without a colon" in outcome.reason
        headers.write_text(f"Authorization: {SECRET}\n")
        assert await live.send(body_of(live)) == Sent()


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
async def test_a_secret_that_the_backend_repeats_is_not_shown(encoding):
    """The simulator repeats the header in its Status."""
    async with (
        OtlpBackend(credential={"Authorization": SECRET}) as backend,
        live_flow(backend, encoding=encoding, headers={"Authorization": "Bearer wrong-wrong"}) as live,
    ):
        outcome = await live.send(body_of(live))
        assert isinstance(outcome, Paused)
        assert "unknown credential" in outcome.reason
        assert "wrong-wrong" not in outcome.reason


async def test_an_answer_that_breaks_off_is_retried_and_one_without_end_is_not_read():
    """The status alone does not say that every row was kept; an answer of any size takes little memory."""
    async with OtlpBackend() as backend, live_flow(backend) as live:
        backend.warning = "w" * 1_000
        for fault in (faults.reset_in_body(), faults.truncated_body()):
            backend.fault(fault)
            assert isinstance(await live.send(body_of(live)), Retry)
        backend.fault(faults.respond_with(200, b"\x0a\xff\xff\xff\x7f" + b"x" * 3_000_000))
        assert isinstance(await live.send(body_of(live)), Paused)
        backend.fault(
            faults.respond_with(200, gzip.compress(b"x" * 300_000_000), headers={"Content-Encoding": "gzip"})
        )
        assert isinstance(await live.send(body_of(live)), Paused | Retry)


async def test_a_redirect_is_not_followed():
    """A credential goes to the host of the settings only."""
    async with OtlpBackend() as other, OtlpBackend() as backend:
        backend.fault(faults.respond_with(307, headers={"Location": f"{other.url('live')}/v1/logs"}))
        async with live_flow(backend) as live:
            assert isinstance(await live.send(body_of(live)), Paused)
        assert not other.calls


async def test_a_backend_is_verified_and_knows_the_client_by_its_certificate(authority):
    """Without the CA, and without a certificate of the client, no byte of an event is stored."""
    client = authority.issue("client")
    certificates = {"certificate_file": client.certificate, "key_file": client.key}
    async with OtlpBackend(tls=server_tls(authority, clients=authority)) as backend:
        for settings in ({}, {"ca_file": authority.file}):
            async with live_flow(backend, **settings) as live:
                assert isinstance(await live.send(body_of(live)), Retry)
        assert backend.stored("live") == []
        async with live_flow(backend, ca_file=authority.file, **certificates) as live:
            assert await live.send(body_of(live)) == Sent()


async def test_requests_go_through_the_proxy_of_the_environment(monkeypatch):
    """Other hosts are reached through it."""
    asked = []

    async def refuse(reader, writer):
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with (
        server,
        OtlpBackend() as backend,
        live_flow(backend, endpoint="https://otlp.example.com") as live,
    ):
        assert isinstance(await live.send(body_of(live)), Retry)
    assert asked == [b"CONNECT otlp.example.com:443 HTTP/1.1\r\n"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"headers": {"Content-Encoding": "x"}}, "headers has the header Content-Encoding, which the relay sets itself"),
        ({"headers": {"X-Key": "a\r\nHost: b"}}, "headers has a value of X-Key that is empty, not ASCII"),
        ({"headers_file": "/nowhere/headers"}, "headers_file cannot be read: No such file or directory"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file cannot be used: "),
    ],
)  # fmt: skip
async def test_settings_that_cannot_work_are_refused_at_the_start(settings, said):
    async with OtlpBackend() as backend:
        with pytest.raises(RelayError) as caught:
            async with live_flow(backend, **settings):
                pass
    assert f"destinations.logs.{said}" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"endpoint": "http://otlp.example.com:4318"}, "must be https"),
        ({"endpoint": "https://otlp.example.com/?token=x"}, "headers_file"),
        ({"endpoint": "https://user:pw@otlp.example.com"}, "user or a password"),
        ({"endpoint": "otlp.example.com"}, "must begin with https"),
        ({"service_name": 'a"b'}, "at most 100 letters"),
        ({"max_body_bytes": 9_999}, "greater than or equal"),
        ({"time": "sent"}, "created"),
    ],
)
def test_a_setting_of_a_wrong_form_is_refused(settings, said):
    good = {"kind": "otlp", "endpoint": "https://otlp.example.com"}
    OtlpConfig(**good)
    with pytest.raises(ValidationError, match=said):
        OtlpConfig(**good | settings)


@pytest.mark.parametrize("url", ["https://Otlp.example.com:443/otlp", "https://otlp.example.com/otlp/v1/logs", "https://otlp.example.com/otlp/v1/logs/"])  # fmt: skip
def test_the_whole_url_of_logs_is_the_same_target_as_its_base(url):
    config = OtlpConfig(
        kind="otlp", endpoint=url, history_endpoint="https://h.example.com/", headers={"a": "b"}
    )
    assert identity(config) == {
        "live": {"endpoint": "https://otlp.example.com/otlp"},
        "history": {"endpoint": "https://h.example.com"},
    }


async def test_history_may_have_the_endpoint_and_not_the_time_of_live_events():
    """One endpoint takes both flows, and the resource tells them apart."""
    old = event(1, created=1_000, mode="backfill")
    async with OtlpBackend(max_age_seconds=86_400) as backend:
        config = OtlpConfig(
            kind="otlp",
            endpoint=backend.url("all"),
            history_endpoint=backend.url("all"),
            history_time="collected",
        )
        async with open_otlp("logs", config, 20.0) as flows:
            assert isinstance(await flows["live"].send(body_of(flows["live"], old)), Reject)
            assert await flows["history"].send(body_of(flows["history"], old)) == Sent()
            assert await flows["live"].send(body_of(flows["live"], event(2))) == Sent()
        found = [record["resource"]["jira.audit.flow"] for record in backend.stored("all")]
        assert found == ["history", "live"]
