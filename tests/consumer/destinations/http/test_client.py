"""The client of a receiver: signatures, headers, certificates, proxies, and what is never shown."""

import asyncio

import pytest
from pydantic import ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from consumer.destinations.http.client import webhook_id
from consumer.destinations.http.config import HttpConfig
from consumer.destinations.outcome import Paused, Retry, Sent
from relay.credentials.stores.stored_secret import StoredSecret
from relay.errors import RelayError
from simulators import faults
from simulators.http.receiver import HttpReceiver
from tests.support.certificates import CertificateAuthority, server_tls
from tests.support.http_receiver import OTHER_SECRET, SECRET, body_of, live_flow
from tests.support.messages import event
from tests.support.secret_stores import ACME, scripted_stores


def verified(call, secret):
    """Whether the library of Standard Webhooks accepts a request; it needs a body of text."""
    try:
        Webhook(secret).verify(call.body, dict(call.headers), json_parse=False)
    except WebhookVerificationError:
        return False
    return True


@pytest.mark.parametrize("shape", ["json", "ndjson", "single", "cloudevents"])
async def test_a_library_verifies_each_format(shape):
    """The signature is over the bytes that were sent."""
    async with HttpReceiver(secrets=(SECRET,)) as receiver:
        async with live_flow(receiver, format=shape, signing_secrets=(SECRET,)) as live:
            assert await live.send(body_of(live)) == Sent()
        (call,) = receiver.calls
        assert verified(call, SECRET)
        assert not verified(call, OTHER_SECRET)


async def test_a_receiver_may_change_its_secret_while_both_sign():
    """Old and new receivers accept the same request."""
    async with HttpReceiver() as receiver:
        async with live_flow(receiver, signing_secrets=(SECRET, OTHER_SECRET)) as live:
            await live.send(body_of(live))
        (call,) = receiver.calls
        assert verified(call, SECRET)
        assert verified(call, OTHER_SECRET)


async def test_every_try_of_a_body_has_the_same_id():
    """A receiver knows a repeat by it, also after a restart; the time is that of the try, and another body has another id."""
    async with HttpReceiver() as receiver:
        receiver.fault(faults.respond_with(503), times=1)
        for _ in range(2):
            async with live_flow(receiver, signing_secrets=(SECRET,)) as live:
                await live.send(body_of(live))
                await live.send(body_of(live, event(2)))
        ids = [call.headers["webhook-id"] for call in receiver.calls]
        assert ids[0] == ids[2] != ids[1] == ids[3]
        assert ids[0].startswith("msg_")
        assert "." not in "".join(ids)
        assert all(verified(call, SECRET) for call in receiver.calls)


def test_an_id_does_not_come_back_with_the_offsets():
    """After a topic was made anew the same offsets hold other events."""
    assert webhook_id(b"one") != webhook_id(b"other")


async def test_a_replaced_file_is_read_at_the_next_refusal(tmp_path):
    """Headers and signing secrets are rotated without a restart, and no request is lost for it."""
    headers, secrets = tmp_path / "headers", tmp_path / "secrets"
    headers.write_text("Authorization: Bearer old-old-old\nX-Tenant: a b\n")
    secrets.write_text(f"{SECRET}\n")
    files = {"headers_file": headers, "signing_secrets_file": secrets}
    async with (
        HttpReceiver(credential={"Authorization": "Bearer old-old-old"}, secrets=(SECRET,)) as receiver,
        live_flow(receiver, **files) as live,
    ):
        assert await live.send(body_of(live)) == Sent()
        receiver.credential["Authorization"] = "Bearer new-new-new"
        assert isinstance(await live.send(body_of(live)), Paused)
        headers.write_text("Authorization: Bearer new-new-new\n")
        assert await live.send(body_of(live)) == Sent()
        receiver.secrets = (OTHER_SECRET,)
        secrets.write_text(f"{SECRET}\n\n{OTHER_SECRET}\n")
        assert await live.send(body_of(live)) == Sent()
        assert len(receiver.calls) == 1 + 1 + 2 + 2


async def test_a_file_that_is_half_written_is_named_and_changes_nothing(tmp_path):
    """What was read before goes on, and the reason says why the new file does not count."""
    headers = tmp_path / "headers"
    headers.write_text("Authorization: Bearer old-old-old\n")
    async with (
        HttpReceiver(credential={"Authorization": "Bearer old-old-old"}) as receiver,
        live_flow(receiver, headers_file=headers) as live,
    ):
        headers.write_text("Authoriz")
        receiver.fault(faults.respond_with(401), times=1)
        outcome = await live.send(body_of(live))
        assert isinstance(outcome, Paused)
        assert "destinations.soc.headers_file has a line without a colon" in outcome.reason
        assert await live.send(body_of(live)) == Sent()


async def test_a_secret_that_the_receiver_repeats_is_not_shown():
    """Neither in a reason, nor behind the word Bearer; the path of a URL counts as a secret too."""
    async with (
        HttpReceiver(credential={"Authorization": "Bearer right-right"}) as receiver,
        live_flow(receiver, headers={"Authorization": "Bearer wrong-wrong"}) as live,
    ):
        outcome = await live.send(body_of(live))
        assert isinstance(outcome, Paused)
        assert "unknown credential" in outcome.reason
        assert "wrong-wrong" not in outcome.reason
        receiver.fault(faults.respond_with(404, "no page live of wrong-wrong"))
        assert "wrong" not in (await live.send(body_of(live))).reason
    async with live_flow(receiver, url="https://tenant.example.com/webhook/path/s3cr3t?sig=s3cr3t") as live:
        assert live.address == "https://tenant.example.com (url)"


async def test_an_unread_answer_costs_no_repeat():
    """After a 2xx the events are accepted, though the body of the answer never ends."""
    async with HttpReceiver() as receiver, live_flow(receiver) as live:
        receiver.fault(faults.truncated_body())
        assert await live.send(body_of(live)) == Sent()
        receiver.fault(faults.reset_in_body())
        assert await live.send(body_of(live)) == Sent()
        assert len(receiver.stored("live")) == 2


async def test_a_redirect_is_not_followed():
    """The credential goes to no other host."""
    async with HttpReceiver() as other, HttpReceiver() as receiver:
        receiver.fault(faults.respond_with(307, headers={"Location": other.url("live")}))
        async with live_flow(receiver, headers={"X-Key": "a-long-secret"}) as live:
            outcome = await live.send(body_of(live))
        assert isinstance(outcome, Paused)
        assert "redirects" in outcome.reason
        assert not other.calls


@pytest.fixture
def authority(tmp_path):
    return CertificateAuthority(tmp_path, "authority")


async def test_the_receiver_is_verified_by_its_own_authority(authority):
    """Without its CA no byte of an event leaves."""
    async with HttpReceiver(tls=server_tls(authority)) as receiver:
        async with live_flow(receiver) as live:
            outcome = await live.send(body_of(live))
            assert isinstance(outcome, Retry)
            assert "CERTIFICATE_VERIFY_FAILED" in outcome.reason
        async with live_flow(receiver, ca_file=authority.file) as live:
            assert await live.send(body_of(live)) == Sent()
        assert len(receiver.calls) == 1


async def test_a_client_certificate_is_sent_and_replaced(authority, tmp_path):
    """A receiver with mutual TLS takes events of a client with its certificate; a renewed file is used without a restart."""
    stranger = CertificateAuthority(tmp_path, "stranger")
    wrong, right = stranger.issue("wrong"), authority.issue("right")
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    certificate.write_bytes(wrong.certificate.read_bytes())
    key.write_bytes(wrong.key.read_bytes())
    async with (
        HttpReceiver(tls=server_tls(authority, clients=authority)) as receiver,
        live_flow(receiver, ca_file=authority.file, certificate_file=certificate, key_file=key) as live,
    ):
        assert isinstance(await live.send(body_of(live)), Retry)
        certificate.write_bytes(right.certificate.read_bytes())
        key.write_bytes(right.key.read_bytes())
        assert await live.send(body_of(live)) == Sent()


async def test_requests_go_through_the_proxy_of_the_environment(monkeypatch):
    """Other hosts are reached through it, and this machine without it."""
    asked = []

    async def refuse(reader, writer):
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with server, HttpReceiver() as receiver:
        async with live_flow(receiver, url="https://collector.example.com/x") as live:
            assert isinstance(await live.send(body_of(live)), Retry)
        assert asked == [b"CONNECT collector.example.com:443 HTTP/1.1\r\n"]
        async with live_flow(receiver) as live:
            assert await live.send(body_of(live)) == Sent()
        assert len(asked) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"headers": {"Content-Type": "x"}}, "headers has the header Content-Type, which the relay sets itself"),
        ({"headers": {"X Key": "x"}}, "headers has an invalid HTTP header name"),
        ({"headers": {"X-Key": "a\r\nHost: b"}}, "headers has a value of X-Key that is empty, not ASCII, or has a line break"),
        ({"headers": {"X-Key": ""}}, "headers has a value of X-Key that is empty"),
        ({"headers_file": "/nowhere/headers"}, "headers_file cannot be read: No such file or directory"),
        ({"signing_secrets": ("whsec_c2hvcnQ=",)}, "signing_secrets has a secret that is not whsec_ and base64 of 24 to 64 bytes"),
        ({"signing_secrets": (SECRET.removeprefix("whsec_"),)}, "signing_secrets has a secret that is not whsec_"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file cannot be used: "),
        ({"certificate_file": "/nowhere/a.pem", "key_file": "/nowhere/a.key"}, "certificate_file or its key_file cannot be used: "),
    ],
)  # fmt: skip
async def test_settings_that_cannot_work_are_refused_at_the_start(settings, said):
    """The message names the setting, and shows no value of it."""
    async with HttpReceiver() as receiver:
        with pytest.raises(RelayError) as caught:
            async with live_flow(receiver, **settings):
                pass
    assert f"destinations.soc.{said}" in str(caught.value)
    assert "MfKQ" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://collector.example.com/s3cr3t", "https://user:s3cr3t@host/", "s3cr3t", "https://host/s3cr3t#x", "https://ho st/s3cr3t"],
)  # fmt: skip
def test_a_wrong_url_is_refused_and_not_shown(url):
    """Events are sent by https, or to this machine; the message of a wrong URL may not hold its secret."""
    with pytest.raises(ValidationError) as caught:
        HttpConfig(kind="http", url=url)
    assert "s3cr3t" not in str(caught.value)


async def test_a_secret_in_a_store_is_read_again_at_a_refusal():
    """The request that is refused goes out again with the new value; a value that stays is not sent twice."""
    stores, script, clock = scripted_stores("Bearer old-old-old", "Bearer new-new-new")
    assert stores.read_all([ACME]) == {ACME: "Bearer old-old-old"}
    headers = {"Authorization": StoredSecret(stores, ACME)}
    async with (
        HttpReceiver(credential={"Authorization": "Bearer new-new-new"}) as receiver,
        live_flow(receiver, headers=headers) as live,
    ):
        clock.seconds += 6
        assert await live.send(body_of(live)) == Sent()
        assert len(receiver.calls) == 2
        receiver.credential["Authorization"] = "Bearer third"
        clock.seconds += 6
        outcome = await live.send(body_of(live))
        assert isinstance(outcome, Paused)
        assert "new-new-new" not in outcome.reason
        assert len(receiver.calls) == 3
        assert len(script.reads) == 3
