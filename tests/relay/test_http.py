import asyncio
import contextlib
import importlib.util
import json
import sys

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from consumer.destinations.azure_ingestion.client import IngestionClient
from consumer.destinations.outcome import Paused, Sent
from producer.sources.errors import ErrorKind, SourceFailure
from producer.sources.jira_cloud.client import open_client, tenant_info
from relay.avro.codec import SchemaId
from relay.config.kafka import KafkaConfig
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import SettingsError
from relay.http import create_tls_context
from relay.kafka.oauth import OAuthTokenError, create_token_provider
from relay.proxies import read_proxy_rules
from relay.schema_registry.client import Missing, open_schema_registry
from simulators.azure.world import AzureWorld
from tests.support.connect_proxy import running_proxy
from tests.support.ingestion_world import body, destination, row, set_credentials

PROXY = "http://proxy.example:3128"
VARIABLES = (
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "HOME",
)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in VARIABLES[:-1]:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def proxy_for(url, **environ):
    proxy = read_proxy_rules(environ).find(url)
    return None if proxy is None else proxy.url


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, PROXY),
        ({"HTTPS_PROXY": f" {PROXY}\r\n"}, PROXY),
        ({"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ({"HTTPS_PROXY": "", "ALL_PROXY": PROXY}, PROXY),
        ({"https_proxy": " ", "HTTPS_PROXY": PROXY}, PROXY),
        ({"HTTP_PROXY": PROXY}, None),
        (
            {"HTTPS_PROXY": "http://relay:s3cret@[2001:db8::1]:3128/"},
            "http://relay:s3cret@[2001:db8::1]:3128/",
        ),
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "socks5://proxy:1080"}, PROXY),
        ({"ALL_PROXY": "socks5://proxy:1080", "NO_PROXY": "*"}, None),
    ],
)
def test_the_proxy_of_a_request_comes_from_the_environment(environ, expected):
    assert proxy_for("https://acme.atlassian.net/rest", **environ) == expected


@pytest.mark.parametrize(
    ("entry", "url", "direct"),
    [
        ("acme.atlassian.net", "https://acme.atlassian.net/", True),
        ("ATLASSIAN.NET", "https://acme.atlassian.net/", True),
        (".atlassian.net", "https://acme.atlassian.net/", True),
        ("*.atlassian.net", "https://acme.atlassian.net/", True),
        ("lassian.net", "https://acme.atlassian.net/", False),
        ("a.example, atlassian.net\n", "https://acme.atlassian.net/", True),
        ("a.example atlassian.net", "https://acme.atlassian.net/", True),
        ("atlassian.net:443", "https://acme.atlassian.net/", True),
        ("atlassian.net:8443", "https://acme.atlassian.net/", False),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.1.2.3", "https://10.1.2.3/", True),
        ("fd00::/8", "https://[fd12::1]/", True),
        ("[fd12::1]", "https://[fd12::1]/", True),
        ("fd12::1", "https://[fd12::1]:8081/", True),
        ("[fd12::1]:8081", "https://[fd12::1]:8081/", True),
        ("::/129,,%%,[", "https://acme.atlassian.net/", False),
        ("*", "https://acme.atlassian.net/", True),
    ],
)
def test_no_proxy_excepts_hosts_domains_addresses_and_networks(entry, url, direct):
    assert proxy_for(url, HTTPS_PROXY=PROXY, NO_PROXY=entry) == (None if direct else PROXY)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.9.9.9",
        "[::1]",
        "relay.localhost",
        "169.254.169.254",
        "[fe80::1]",
        "localhost.",
    ],
)
def test_this_machine_and_the_metadata_service_are_asked_directly(host):
    for scheme in ("http", "https"):
        assert proxy_for(f"{scheme}://{host}:80/metadata", ALL_PROXY=PROXY) is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "ALL_PROXY",
            "socks5://relay:s3cret@proxy:1080",
            "ALL_PROXY is 'socks5://proxy:1080', which names a kind",
        ),
        ("https_proxy", "socks4a://proxy", "https_proxy is 'socks4a://proxy'"),
        ("HTTPS_PROXY", "relay:s3cret@proxy port", "HTTPS_PROXY is 'proxy port'"),
        ("HTTPS_PROXY", "http://proxy:port", "HTTPS_PROXY is 'http://proxy:port'"),
        ("HTTPS_PROXY", "http://relay:s3cret@/x", "HTTPS_PROXY is 'http:///x'"),
        ("HTTPS_PROXY", "http://proxy:1/path", "'http://proxy:1/path', which is not the URL of a proxy"),
        ("HTTPS_PROXY", "http://", "HTTPS_PROXY is 'http://'"),
        ("HTTPS_PROXY", "http://[::1", "HTTPS_PROXY is"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(name, value, words):
    with pytest.raises(SettingsError) as caught:
        read_proxy_rules({name: value})
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_variable_is_a_rule_or_a_sentence(proxy, exceptions):
    with contextlib.suppress(SettingsError):
        read_proxy_rules({"HTTPS_PROXY": proxy, "NO_PROXY": exceptions}).find("https://acme.example/")


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_certificates_that_are_gone_are_named_with_their_variable(name, tmp_path):
    (tmp_path / "empty.pem").write_text("")
    for path in ("gone.pem", "empty.pem"):
        with pytest.raises(SettingsError, match=rf"{name} is .*{path}, which cannot be used: .*unset it"):
            create_tls_context(environ={name: str(tmp_path / path)})
    assert create_tls_context(environ={name: " "}).cert_store_stats()["x509_ca"] > 10


HOSTS = ("jira.example", "registry.example", "login.example", "relay.ingest.monitor.azure.com")
REPLY = json.dumps(
    {"error_code": 40403, "message": "Schema not found", "access_token": "t0ken", "expires_in": 60}
)


async def _serve(reader, writer):
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        head = await reader.readuntil(b"\r\n\r\n")
        status = b"404 Not Found" if b"/schemas/ids/" in head else b"200 OK"
        writer.write(b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(REPLY)))
        writer.write(REPLY.encode())
        await writer.drain()
    writer.close()


@pytest.fixture
async def proxied(tmp_path, monkeypatch):
    """A proxy in front of a server that answers every client."""
    async with await asyncio.start_server(_serve, "127.0.0.1", 0) as server, AzureWorld() as azure:
        plain = server.sockets[0].getsockname()[1]
        azure_port = int(azure.endpoint.rpartition(":")[2])
        ports = dict.fromkeys(HOSTS, plain) | {HOSTS[3]: azure_port}
        async with running_proxy(tmp_path, ports) as (proxy, ca_file):
            set_credentials(azure, "managed-identity", monkeypatch)
            monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
            for name in ("HTTPS_PROXY", "HTTP_PROXY"):
                monkeypatch.setenv(name, f"http://relay:s3cret@127.0.0.1:{proxy.port}")
            (tmp_path / ".netrc").write_text("default login thief password of-the-netrc\n")
            monkeypatch.setenv("HOME", str(tmp_path))
            monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
            yield proxy, azure


async def _ask_jira(_azure):
    async with open_client() as client:
        request = httpx.Request("GET", "https://jira.example/rest")
        assert (await client.handle_async_request(request)).status_code == 200


async def _ask_registry(_azure):
    settings = SchemaRegistryConfig(url="https://registry.example", username="u", password=SecretStr("p"))
    async with open_schema_registry(settings) as registry:
        assert isinstance(await registry.by_id(SchemaId(1)), Missing)


async def _ask_login(_azure):
    login = {
        "oauth_client_id": "us",
        "oauth_client_secret": "s",
        "oauth_token_url": "https://login.example/token",
    }
    kafka = KafkaConfig(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", **login)
    assert await create_token_provider(kafka).token() == "t0ken"


async def _ask_azure(azure):
    target = destination(azure, endpoint=f"https://{HOSTS[3]}")
    async with IngestionClient("sentinel", target, 60.0) as client:
        assert await client.send(azure.stream, body([row(1)])) == Sent()
    assert azure.identity.token_requests == 1


CLIENTS = {
    "jira.example": _ask_jira,
    "registry.example": _ask_registry,
    "login.example": _ask_login,
    HOSTS[3]: _ask_azure,
}


@pytest.mark.parametrize("host", CLIENTS)
async def test_every_client_uses_the_proxy_for_its_host_alone(host, proxied):
    """The token of the managed identity is fetched from this machine, past the proxy, and no .netrc is read."""
    proxy, azure = proxied
    await CLIENTS[host](azure)
    lines = [line for line in proxy.requests if not line.lower().startswith("proxy-auth")]
    assert lines == [f"CONNECT {host}:443 HTTP/1.1"]
    assert len(proxy.requests) == 2
    assert "Basic cmVsYXk6czNjcmV0" in proxy.requests[1]


@pytest.mark.parametrize("name", ["ALL_PROXY", "SSL_CERT_FILE"])
async def test_every_client_names_a_variable_that_it_cannot_use(name, proxied, monkeypatch):
    _, azure = proxied
    for variable in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv(name, "socks5://proxy:1080" if name == "ALL_PROXY" else "/gone.pem")
    for host, ask in CLIENTS.items():
        error = OAuthTokenError if host == "login.example" else SettingsError
        with pytest.raises(error, match=name):
            await ask(azure)


async def test_a_variable_that_became_wrong_pauses_the_destination_with_its_name(proxied, monkeypatch):
    """A credential reads the variables anew whenever it is opened."""
    _, azure = proxied
    async with IngestionClient("sentinel", destination(azure), 60.0) as client:
        monkeypatch.setenv("HTTPS_PROXY", "socks5://relay:s3cret@proxy:1080")
        outcome = await client.send(azure.stream, body([row(1)]))
    assert isinstance(outcome, Paused)
    assert "HTTPS_PROXY is 'socks5://proxy:1080'" in outcome.reason


@pytest.mark.parametrize("address", ["127.0.0.1:9", "proxy.invalid:3128"])
async def test_a_proxy_that_is_not_there_is_named_with_its_variable(address, monkeypatch):
    """The host behind it is not to blame, though no connection to it came about."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://relay:s3cret@{address}")
    expected = f"no connection through the proxy {address}, check HTTPS_PROXY"
    async with open_client() as client:
        failure = await tenant_info(client, "acme", "https://acme.atlassian.net")
    assert isinstance(failure, SourceFailure)
    assert failure.kind is ErrorKind.UNREACHABLE
    assert expected in failure.message
    async with open_schema_registry(SchemaRegistryConfig(url="https://registry.example")) as registry:
        assert expected in str(await registry.by_id(SchemaId(1)))


@pytest.mark.usefixtures("proxied")
async def test_a_certificate_behind_the_proxy_is_not_the_fault_of_the_proxy(monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    async with open_client() as client:
        failure = await tenant_info(client, "acme", f"https://{HOSTS[0]}")
    assert isinstance(failure, SourceFailure)
    assert failure.kind is ErrorKind.TLS


def test_no_request_searches_for_a_module_that_is_missing():
    """httpcore imports sniffio at each request; a missing one is noted, or Python searches its whole path each time."""
    assert "sniffio" in sys.modules or importlib.util.find_spec("sniffio") is not None
