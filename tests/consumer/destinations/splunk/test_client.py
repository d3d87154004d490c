"""The client of a collector: token, certificates, proxies, probes, and what is never shown."""

import pytest

from consumer.destinations.outcome import Partial, Paused, Retry, Sent
from relay.errors import RelayError
from simulators import faults
from simulators.splunk.collector import HecCollector, Token
from tests.support.certificates import CertificateAuthority, server_tls
from tests.support.hec import TOKEN, hec_flow
from tests.support.http_receiver import body_of
from tests.support.messages import event

OTHER_TOKEN = "0000c0de-0000-4000-8000-00000000beef"


async def test_an_event_arrives_with_its_metadata():
    """Time, host, source, sourcetype, index and the indexed field, compressed, under the token."""
    async with HecCollector({TOKEN: Token()}) as collector:
        async with hec_flow(collector, index="jira") as live:
            created = 1_769_416_988_123
            assert await live.send(body_of(live, event(7, created=created, collected=created + 1))) == Sent()
        (stored,) = collector.stored("jira")
        (call,) = collector.calls
    assert stored.pop("event")["summary"] == "User created"
    assert stored == {
        "time": 1769416988.123,
        "host": "acme.atlassian.net",
        "source": "jira-audit-relay",
        "sourcetype": "jira:cloud:audit:log",
        "index": "jira",
        "fields": {"event_uid": "acme.atlassian.net/7"},
    }
    assert call.path == "services/collector/event"
    assert (call.headers["Authorization"], call.headers["Content-Encoding"]) == (f"Splunk {TOKEN}", "gzip")
    assert "X-Splunk-Request-Channel" not in call.headers


async def test_without_an_index_the_token_decides():
    async with HecCollector({TOKEN: Token(default_index="jira")}) as collector, hec_flow(collector) as live:
        assert await live.send(body_of(live)) == Sent()
        assert "index" not in collector.stored("jira")[0]


@pytest.mark.parametrize("state", ["unknown", "disabled"])
async def test_a_replaced_token_is_read_at_the_next_refusal(state, tmp_path):
    """It is rotated without a restart, and no request is lost for it."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    async with (
        HecCollector({TOKEN: Token()}) as collector,
        hec_flow(collector, token=None, token_file=file) as live,
    ):
        assert await live.send(body_of(live)) == Sent()
        old = collector.tokens.pop(TOKEN)
        collector.tokens[OTHER_TOKEN] = Token()
        if state == "disabled":
            old.enabled = False
            collector.tokens[TOKEN] = old
        assert isinstance(await live.send(body_of(live)), Paused)
        file.write_text(f"Splunk {OTHER_TOKEN}\n")
        assert await live.send(body_of(live)) == Sent()
        assert len(collector.calls) == 1 + 1 + 2


async def test_a_refusal_with_status_400_reads_the_token_too(tmp_path):
    """Codes 21 and 22 of newer versions."""
    file = tmp_path / "token"
    file.write_text("wrong-wrong")
    async with (
        HecCollector({TOKEN: Token()}) as collector,
        hec_flow(collector, token=None, token_file=file) as live,
    ):
        file.write_text(TOKEN)
        collector.fault(faults.respond_with(400, '{"text":"Invalid token","code":21}'))
        assert await live.send(body_of(live)) == Sent()


async def test_a_file_that_is_gone_is_named_and_changes_nothing(tmp_path):
    """What was read before goes on, and the reason says why the new file does not count."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    async with (
        HecCollector({TOKEN: Token()}) as collector,
        hec_flow(collector, token=None, token_file=file) as live,
    ):
        file.unlink()
        collector.fault(faults.respond_with(401))
        outcome = await live.send(body_of(live))
        assert isinstance(outcome, Paused)
        assert "destinations.soc.token_file cannot be read: No such file" in outcome.reason
        assert await live.send(body_of(live)) == Sent()


async def test_a_token_that_an_answer_repeats_is_not_shown():
    async with HecCollector({TOKEN: Token()}) as collector, hec_flow(collector) as live:
        collector.fault(faults.respond_with(403, f'{{"text":"Invalid token {TOKEN}","code":4}}'))
        outcome = await live.send(body_of(live))
        assert isinstance(outcome, Paused)
        assert "Invalid token [secret]" in outcome.reason
        collector.fault(faults.respond_with(503, f"no {TOKEN} here"))
        assert TOKEN not in (await live.send(body_of(live))).reason


async def test_a_redirect_is_not_followed_and_no_cookie_is_kept():
    """The token goes to no other host."""
    async with HecCollector({TOKEN: Token()}) as other, HecCollector({TOKEN: Token()}) as collector:
        collector.fault(
            faults.respond_with(307, headers={"Location": f"{other.url}/services/collector/event"})
        )
        collector.fault(faults.altered_head(headers={"Set-Cookie": "node=1"}))
        async with hec_flow(collector) as live:
            assert isinstance(await live.send(body_of(live)), Paused)
            assert await live.send(body_of(live)) == Sent()
            assert await live.send(body_of(live)) == Sent()
        assert not other.calls
        assert "Cookie" not in collector.calls[-1].headers


async def test_the_collector_is_verified_by_its_own_authority(tmp_path):
    """Without its CA no byte of an event leaves."""
    authority = CertificateAuthority(tmp_path, "authority")
    async with HecCollector({TOKEN: Token()}, tls=server_tls(authority)) as collector:
        async with hec_flow(collector) as live:
            outcome = await live.send(body_of(live))
            assert isinstance(outcome, Retry)
            assert "CERTIFICATE_VERIFY_FAILED" in outcome.reason
        async with hec_flow(collector, ca_file=authority.file) as live:
            assert await live.send(body_of(live)) == Sent()
        assert len(collector.calls) == 1


async def test_a_client_certificate_is_sent(tmp_path):
    authority = CertificateAuthority(tmp_path, "authority")
    client = authority.issue("client")
    files = {"ca_file": authority.file, "certificate_file": client.certificate, "key_file": client.key}
    async with HecCollector({TOKEN: Token()}, tls=server_tls(authority, authority)) as collector:
        async with hec_flow(collector, ca_file=authority.file) as live:
            assert isinstance(await live.send(body_of(live)), Retry)
        async with hec_flow(collector, **files) as live:
            assert await live.send(body_of(live)) == Sent()


async def test_a_refused_event_is_named_and_those_behind_it_are_not_stored():
    """Splunk stores what is before it; the rows behind it may be sent again at once."""
    async with HecCollector({TOKEN: Token()}) as collector, hec_flow(collector) as live:
        collector.poison("acme.atlassian.net/2")
        outcome = await live.send(body_of(live, *map(event, range(5))))
        assert isinstance(outcome, Partial)
        assert (list(outcome.rejected), outcome.retry, outcome.unprocessed) == ([2], frozenset({3, 4}), True)
        assert outcome.rejected[2] == "400 code 6 Invalid data format"
        assert collector.stored_ids("main") == ["acme.atlassian.net/0", "acme.atlassian.net/1"]


@pytest.mark.parametrize("off_by_one", [False, True])
async def test_an_incorrect_index_blames_no_event(off_by_one):
    """Whatever number the answer has: all events of a body name one index, which the reason names."""
    async with HecCollector({TOKEN: Token()}) as collector, hec_flow(collector, index="absent") as live:
        collector.quirks.number_after_bad_index = off_by_one
        outcome = await live.send(body_of(live, *map(event, range(3))))
        assert isinstance(outcome, Paused)
        assert "Splunk does not have the index absent, or the token may not write to it" in outcome.reason
        assert "destinations.soc.index" in outcome.reason


@pytest.mark.parametrize(
    ("token", "settings", "said"),
    [
        (Token(), {"index": "absent"}, "the index absent"),
        (Token(indexes=frozenset({"main"})), {"index": "jira"}, "the index jira"),
        (Token(), {"by_organization": {"acme": "absent"}}, "the index absent"),
        (Token(acknowledges=True), {}, "Set destinations.soc.acknowledge to true"),
        (Token(), {"acknowledge": True}, "The token has no indexer acknowledgement"),
        (Token(enabled=False), {}, "The token is disabled"),
        (Token(), {"token": "another"}, "Splunk does not know the token"),
    ],
)
async def test_a_probe_names_what_a_setting_lacks(token, settings, said):
    """Token, each index, and the acknowledgement as it is configured; no event is stored."""
    async with HecCollector({TOKEN: token}) as collector, hec_flow(collector, **settings) as live:
        outcome = await live.probe()
        assert isinstance(outcome, Paused)
        assert said in outcome.reason
        assert not any(map(collector.stored, collector.indexes))


@pytest.mark.parametrize(
    ("token", "settings"),
    [
        (Token(), {}),
        (Token(), {"index": "jira", "by_organization": {"acme": "main", "globex": "jira"}}),
        (Token(acknowledges=True), {"acknowledge": True, "index": "jira"}),
    ],
)
async def test_a_probe_accepts_what_works(token, settings):
    async with HecCollector({TOKEN: token}) as collector, hec_flow(collector, **settings) as live:
        assert await live.probe() == Sent()
        collector.quirks.index_checked_last = True
        assert await live.probe() == Sent()
        assert not any(map(collector.stored, collector.indexes))


async def test_a_probe_sees_that_the_collector_is_busy_or_another_server():
    async with HecCollector({TOKEN: Token()}) as collector, hec_flow(collector) as live:
        collector.healthy = False
        assert isinstance(await live.probe(), Retry)
        collector.healthy = True
        collector.fault(faults.respond_with(404, path := "no such page"), path="health")
        assert path in (await live.probe()).reason
        collector.fault(faults.respond_with(200, '{"text":"Success","code":0}'), path="event")
        outcome = await live.probe()
        assert isinstance(outcome, Paused)
        assert "does not check events" in outcome.reason


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"token": "two words"}, "token is empty, or has a blank"),
        ({"token": ""}, "token is empty, or has a blank"),
        ({"token": "line\nbreak"}, "token is empty, or has a blank"),
        ({"token_file": "/nowhere/token"}, "token_file cannot be read: No such file or directory"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file cannot be used: "),
    ],
)
async def test_settings_that_cannot_work_are_refused_at_the_start(settings, said):
    """The message names the setting, and shows no value of it."""
    async with HecCollector() as collector:
        with pytest.raises(RelayError) as caught:
            async with hec_flow(collector, **settings):
                pass
    assert f"destinations.soc.{said}" in str(caught.value)
    assert "two words" not in str(caught.value)
