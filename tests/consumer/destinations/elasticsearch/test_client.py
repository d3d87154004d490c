"""The client of a cluster: credentials and their rotation, certificates, looks, probes, and what is never shown."""

import base64
import ssl

import pytest
from pydantic import ValidationError

from consumer.destinations.elasticsearch.config import ElasticsearchConfig, identity
from consumer.destinations.outcome import Partial, Paused, Retry, Sent
from relay.errors import RelayError
from simulators import faults
from simulators.elasticsearch.cluster import SimulatedCluster
from tests.support.certificates import CertificateAuthority
from tests.support.cluster import body_of, flows_to
from tests.support.messages import event

LIVE = "logs-atlassian_jira.audit-default"
ENCODED = base64.b64encode(b"key-id:key-secret").decode()


async def sent(cluster, **settings):
    """The outcome of one event."""
    async with flows_to(cluster.endpoint, **settings) as flows:
        return await flows["live"].send(body_of(flows["live"]))


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({}, None),
        ({"api_key": ENCODED}, f"ApiKey {ENCODED}"),
        ({"api_key": "key-id:key-secret"}, f"ApiKey {ENCODED}"),
        ({"username": "relay", "password": "pass:wörd"}, f"Basic {base64.b64encode('relay:pass:wörd'.encode()).decode()}"),
    ],
)  # fmt: skip
async def test_each_login_is_sent(settings, header):
    async with SimulatedCluster(authorization=header) as cluster:
        assert await sent(cluster, **settings) == Sent()


async def test_a_replaced_file_is_read_at_the_next_refusal(tmp_path):
    """An API key and a password are rotated without a restart; a 403 reads them again too."""
    key = tmp_path / "key"
    key.write_text("old-id:old-key\n")
    old, new = (
        f"ApiKey {base64.b64encode(each).decode()}" for each in (b"old-id:old-key", b"new-id:new-key")
    )
    async with (
        SimulatedCluster(authorization=old) as cluster,
        flows_to(cluster.endpoint, api_key_file=key) as flows,
    ):
        live = flows["live"]
        assert await live.send(body_of(live)) == Sent()
        cluster.authorization = new
        outcome = await live.send(body_of(live, event(2)))
        assert isinstance(outcome, Paused)
        assert "destinations.soc.api_key" in outcome.reason
        key.write_text("")
        outcome = await live.send(body_of(live, event(2)))
        assert "destinations.soc.api_key_file is empty" in outcome.reason
        key.write_text("new-id:new-key")
        assert await live.send(body_of(live, event(2))) == Sent()
        cluster.authorization = old
        key.write_text("old-id:old-key")
        cluster.fault(faults.respond_with(403), times=1)
        assert await live.send(body_of(live, event(3))) == Sent()
        assert cluster.stored_ids(LIVE) == [f"acme.atlassian.net/{number}" for number in (1, 2, 3)]


async def test_a_secret_that_the_cluster_repeats_is_not_shown():
    """Neither in the reason of a request, nor in that of a document; in no form of the key."""
    async with SimulatedCluster(authorization="ApiKey right") as cluster:
        outcome = await sent(cluster, api_key="key-id:key-secret")
        assert isinstance(outcome, Paused)
        assert "unable to authenticate" in outcome.reason
        assert ENCODED not in outcome.reason
        cluster.authorization = None
        error = {"status": 400, "error": {"type": "x", "reason": f"ApiKey {ENCODED} and key-secret"}}
        cluster.bulk_fault(
            faults.altered_body(lambda _: f'{{"items":[{{"create":{error}}}]}}'.replace("'", '"').encode())
        )
        outcome = await sent(cluster, api_key="key-id:key-secret")
        assert isinstance(outcome, Partial)
        assert "key-secret" not in outcome.rejected[0]
        assert ENCODED not in outcome.rejected[0]


@pytest.mark.parametrize("place", ["error", "text", "document"])
async def test_a_secret_is_not_shown_where_the_quoted_text_ends_within_it(place):
    """Half of a key is no longer recognized as the key, so it must be removed before the text is cut."""
    key = base64.b64encode(b"key-id:" + b"s3cret" * 20).decode()
    for padding in range(200, 300, 20):
        error = f'{{"type":"x","reason":"{"p" * padding} ApiKey {key}"}}'
        content = {
            "error": f'{{"error":{error}}}',
            "text": f"{'p' * padding} ApiKey {key}",
            "document": f'{{"items":[{{"create":{{"status":400,"error":{error}}}}}]}}',
        }[place].encode()
        async with SimulatedCluster() as cluster:
            altered = faults.altered_body(lambda _, content=content: content)
            cluster.bulk_fault(
                altered if place == "document" else faults.respond_with(403, body=content.decode())
            )
            outcome = await sent(cluster, api_key=key)
        assert key[:12] not in str(outcome), padding


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"api_key": "a:b", "username": "u", "password": "p"}, " has an api_key and a username or password"),
        ({"api_key": "a b"}, ".api_key is not an API key"),
        ({"api_key": "a\r\nb"}, ".api_key is not an API key"),
        ({"username": "u"}, " needs both username and password"),
        ({"password": "p"}, " needs both username and password"),
        ({"username": "u:v", "password": "p"}, " needs both username and password"),
        ({"api_key_file": "/nowhere/key"}, ".api_key_file cannot be read: No such file or directory"),
        ({"api_key": "a:b", "api_key_file": "/nowhere/key"}, ".api_key and its api_key_file are both set"),
        ({"ca_file": "/nowhere/ca.pem"}, ".ca_file cannot be used: "),
        ({"certificate_file": "/nowhere/a.pem", "key_file": "/nowhere/a.key"}, ".certificate_file or its key_file cannot be used: "),
    ],
)  # fmt: skip
async def test_settings_that_cannot_work_are_refused_at_the_start(settings, said):
    """The message names the setting, and shows no value of it."""
    with pytest.raises(RelayError) as caught:
        async with flows_to("http://127.0.0.1:1", **settings):
            pass
    assert f"destinations.soc{said}" in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoint": "http://elastic.example.com:9200"},
        {"endpoint": "https://elastic.example.com/path"},
        {"endpoint": "https://user:secret@elastic.example.com"},
        *(
            {"index": name}
            for name in ("", "Logs", "_x", "-x", "a/b", "a,b", "a*", "a b", "..", "ä", "x" * 201)
        ),
        {"history_index": LIVE},
        {"by_organization": {"acme.atlassian.net": "A"}},
        {"by_organization": {"acme.atlassian.net": "jira-audit-history"}},
        {"pipeline": "a&b=c"},
        {"certificate_file": "a.pem"},
    ],
)
def test_wrong_settings_are_refused(settings):
    """Only https or this machine, and no name that a cluster would refuse or read as several."""
    with pytest.raises(ValidationError):
        ElasticsearchConfig(**{"kind": "elasticsearch", "endpoint": "https://elastic.example.com"} | settings)


def test_the_identity_names_each_target():
    """A credential may change; another target is another identity, of its flow alone."""
    base = {"kind": "elasticsearch", "endpoint": "https://elastic.example.com"}
    first = identity(ElasticsearchConfig(**base, api_key="a:b"))
    assert identity(ElasticsearchConfig(**base, api_key="c:d")) == first
    assert identity(ElasticsearchConfig(**base, layout="monthly"))["history"] == first["history"]
    routed = identity(ElasticsearchConfig(**base, by_organization={"acme.atlassian.net": "logs-x-y"}))
    assert routed["live"]["index of acme.atlassian.net"] == "logs-x-y"
    assert routed["history"]["history index of acme.atlassian.net"] == "jira-audit-history-logs-x-y"
    assert "history" not in identity(ElasticsearchConfig(**base, history_index="off"))


@pytest.fixture
def authority(tmp_path):
    return CertificateAuthority(tmp_path, "authority")


async def test_certificates_of_both_sides(authority, tmp_path):
    """The cluster is verified by its own CA; a client certificate is sent, and read again when it was replaced."""
    stranger = CertificateAuthority(tmp_path, "stranger")
    server, wrong, right = authority.issue("server"), stranger.issue("wrong"), authority.issue("right")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(server.certificate, server.key)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(authority.file)
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    certificate.write_bytes(wrong.certificate.read_bytes())
    key.write_bytes(wrong.key.read_bytes())
    files = {"certificate_file": certificate, "key_file": key}
    async with SimulatedCluster(tls=tls) as cluster:
        assert "CERTIFICATE_VERIFY_FAILED" in (await sent(cluster, **files)).reason
        async with flows_to(cluster.endpoint, ca_file=authority.file, **files) as flows:
            live = flows["live"]
            assert isinstance(await live.send(body_of(live)), Retry)
            certificate.write_bytes(right.certificate.read_bytes())
            key.write_bytes(right.key.read_bytes())
            assert await live.send(body_of(live)) == Sent()


async def test_a_redirect_is_not_followed():
    """The credential goes to no other host."""
    async with SimulatedCluster() as other, SimulatedCluster() as cluster:
        cluster.fault(faults.respond_with(307, headers={"Location": f"{other.endpoint}/_bulk"}), rate=1)
        outcome = await sent(cluster, api_key="a:b")
        assert isinstance(outcome, Paused)
        assert "redirects" in outcome.reason
        assert not other.calls
