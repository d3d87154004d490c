"""Every kind by HTTP goes through the proxy of the environment, trusts the CA and has the certificate of its settings.

The test walks the catalogue: a kind whose peer has a URL of this machine is moved to a host that only the proxy knows.
"""

import base64
import re
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.outcome import Paused, Retry, Sent
from tests.contracts.destination_case import body_of, uids
from tests.contracts.peer import Peer
from tests.contracts.peers import PEERS
from tests.support.certificates import CertificateAuthority
from tests.support.connect_proxy import ConnectProxy, running_proxy
from tests.support.messages import event
from tests.support.sending import sent_at_last

PASSWORD = "pr0xy-pa55word"
LOGIN = f"Basic {base64.b64encode(f'relay:{PASSWORD}'.encode()).decode()}"
LOCAL = re.compile(r"https?://127\.0\.0\.1:(\d+)")
HOST = "relay-{}.ingest.monitor.azure.com"
"""A host that the settings of every kind accept; no such host exists."""
VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True)
class Proxied:
    """A peer behind a proxy: `config` names hosts of the proxy in place of this machine."""

    kind: Any
    peer: Peer
    config: Any
    proxy: ConnectProxy
    directory: Any

    def with_settings(self, **changes):
        """The configuration with other settings."""
        return type(self.config).model_validate(plain(self.config) | changes)

    async def send(self, config=None, number=1, seconds=20.0):
        """Open the kind, and return the outcome of one body; the events of bodies differ."""
        async with self.kind.open("target", config or self.config, seconds) as flows:
            return await flows["live"].send(body_of(flows["live"], [event(number)]))

    def connects(self):
        """The hosts that were asked for."""
        return {line.split(" ")[1] for line in self.proxy.requests if line.startswith("CONNECT")}


def plain(config):
    return {name: getattr(config, name) for name in config.model_fields_set}


def moved(value):
    """Return a setting with hosts of the proxy in place of this machine, and the ports that they are in front of."""
    if isinstance(value, SecretStr):
        text, ports = moved(value.get_secret_value())
        return SecretStr(text), ports
    if not isinstance(value, str):
        return value, set()
    ports = {int(port) for port in LOCAL.findall(value)}
    return LOCAL.sub(lambda found: f"https://{HOST.format(found[1])}", value), ports


@asynccontextmanager
async def proxied(name, monkeypatch, tmp_path):
    """Open the peer of a kind, and the proxy in front of it; skip a kind whose peer has no URL."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    kind = DESTINATIONS[name]
    async with PEERS[name](monkeypatch, tmp_path) as peer:
        settings = {setting: moved(value) for setting, value in plain(peer.config).items()}
        hosts = {HOST.format(port): port for _, ports in settings.values() for port in ports}
        if not hosts:
            pytest.skip("the peer of this kind has no URL")
        async with running_proxy(tmp_path, hosts) as (proxy, ca_file):
            changes = {setting: value for setting, (value, _) in settings.items()}
            if "ca_file" in kind.config.model_fields:
                changes["ca_file"] = ca_file
            else:
                monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
            config = kind.config.model_validate(changes)
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            yield Proxied(kind, peer, config, proxy, tmp_path)


@pytest.fixture(params=DESTINATIONS)
async def through(request, monkeypatch, tmp_path):
    async with proxied(request.param, monkeypatch, tmp_path) as found:
        yield found


def shows_secrets(config, *texts):
    """Return the secrets that a text shows: the proxy's password, and those of the settings that are no URLs."""
    secrets = [PASSWORD, LOGIN.removeprefix("Basic ")]
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, SecretStr) and "://" not in value.get_secret_value():
            secrets.append(value.get_secret_value())
    return [secret for secret in secrets for text in texts if secret in text]


async def test_a_proxy_without_a_password(through):
    """Rows arrive through it, and it is given no credential."""
    assert await through.send() == Sent()
    assert through.peer.stored() == uids([1])
    assert through.connects() == {f"{host}:443" for host in through.proxy.hosts}
    assert not [line for line in through.proxy.requests if line.lower().startswith("proxy-auth")]


async def test_a_proxy_with_a_password(through, monkeypatch, caplog):
    """A wrong password is named with its variable, and shown nowhere; the right one is used."""
    caplog.set_level(0)
    through.proxy.authorization = LOGIN
    monkeypatch.setenv("HTTPS_PROXY", f"http://relay:an-old-one@127.0.0.1:{through.proxy.port}")
    outcome = await through.send()
    assert isinstance(outcome, Paused | Retry)
    assert "407" in outcome.reason
    assert through.peer.stored() == []
    assert "an-old-one" not in f"{outcome}{caplog.text}"
    monkeypatch.setenv("HTTPS_PROXY", f"http://relay:{PASSWORD}@127.0.0.1:{through.proxy.port}")
    assert await through.send() == Sent()
    assert through.peer.stored() == uids([1])
    assert not shows_secrets(through.config, caplog.text)


async def test_a_proxy_that_is_away(through, monkeypatch, caplog):
    """It is a Retry that shows no password."""
    caplog.set_level(0)
    monkeypatch.setenv("HTTPS_PROXY", f"http://relay:{PASSWORD}@127.0.0.1:9")
    outcome = await through.send()
    assert isinstance(outcome, Retry)
    assert "through the proxy 127.0.0.1:9, check HTTPS_PROXY" in outcome.reason
    assert not shows_secrets(through.config, outcome.reason, caplog.text)


async def test_a_host_of_no_proxy_is_asked_directly(through, monkeypatch):
    """The proxy gets no request, and the host does not exist."""
    monkeypatch.setenv("NO_PROXY", ".ingest.monitor.azure.com")
    assert isinstance(await through.send(seconds=2.0), Retry)
    assert through.proxy.requests == []


async def test_a_server_of_another_authority_is_not_trusted(through, monkeypatch):
    """No request reaches it, and the reason is the certificate."""
    other = CertificateAuthority(through.directory, "other-ca").file
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    config = through.with_settings(ca_file=other) if "ca_file" in through.kind.config.model_fields else None
    outcome = await through.send(config)
    assert isinstance(outcome, Retry | Paused)
    assert through.peer.stored() == []
    assert "certificate" in outcome.reason.lower()


async def test_a_client_certificate_is_presented_and_rotated(through):
    """Without it the server closes the connection; a file that is replaced is used without a restart."""
    if "certificate_file" not in through.kind.config.model_fields:
        pytest.skip("the kind has no client certificate")
    authority, stranger = (
        CertificateAuthority(through.directory, name) for name in ("client-ca", "stranger-ca")
    )
    through.proxy.context.load_verify_locations(authority.file)
    through.proxy.context.verify_mode = ssl.CERT_REQUIRED
    assert isinstance(await through.send(), Retry)
    issued = stranger.issue("client")
    config = through.with_settings(certificate_file=issued.certificate, key_file=issued.key)
    async with through.kind.open("target", config, 20.0) as flows:
        body = body_of(flows["live"], [event(1)])
        assert isinstance(await flows["live"].send(body), Retry)
        assert through.peer.stored() == []
        authority.issue("client")
        assert await sent_at_last(lambda: flows["live"].send(body)) <= 2
    assert set(through.peer.stored()) == set(uids([1]))
