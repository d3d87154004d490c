"""The options of the clients of the clouds: proxies and certificates from settings and environment, files that cannot be used."""

import sys

import pytest

from consumer.destinations.object_store.clients import _azure_cloud, _client_options
from consumer.destinations.object_store.config import ObjectStoreConfig, parse_location
from relay.errors import RelayError
from tests.support.certificates import CertificateAuthority
from tests.support.object_stores import opened

VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def options(location="s3://audit/jira", **settings):
    config = ObjectStoreConfig(kind="object-store", location=location, **settings)
    return _client_options("lake", config, parse_location(config.location), 40.0)


@pytest.mark.parametrize("location", ["s3://audit/jira", "az://acmeaudit/audit/jira", "gs://audit/jira"])
def test_a_proxy_of_the_environment_is_used_except_for_metadata_services(location, monkeypatch):
    """A metadata service hands out credentials, and a proxy could read them."""
    assert "proxy_url" not in options(location)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    found = options(location)
    assert found["proxy_url"] == "http://proxy.example:3128"
    assert {"169.254.169.254", "metadata.google.internal"} <= set(found["proxy_excludes"].split(","))


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("s3://audit/jira", "s3.eu-central-1.amazonaws.com"),
        ("az://acmeaudit/audit/jira", ".blob.core.windows.net"),
        ("gs://audit/jira", "storage.googleapis.com"),
    ],
)
def test_a_host_that_no_proxy_names_is_asked_directly(location, host, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", host)
    assert options(location, region="eu-central-1")["proxy_excludes"] == "*"


async def test_a_proxy_of_http_alone_is_no_proxy_of_a_bucket(monkeypatch):
    """Not even one that the relay could not use: requests go by https."""
    monkeypatch.setenv("HTTP_PROXY", "socks5://proxy.example:1080")
    async with opened("s3://audit/jira", region="eu-central-1") as flows:
        assert flows.keys() == {"live", "history"}


def test_certificates_of_setting_and_environment_are_trusted(tmp_path, monkeypatch):
    assert "root_certificate" not in options()
    own, system = (CertificateAuthority(tmp_path, name).file for name in ("own", "system"))
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    assert options(ca_file=own)["root_certificate"] == f"{own.read_text()}\n{system.read_text()}"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path))
    assert "root_certificate" not in options()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    with pytest.raises(RelayError, match=r"SSL_CERT_FILE is .*, which cannot be used"):
        options()


@pytest.mark.parametrize("content", ["", "half a file"])
def test_a_file_without_certificates_is_named(content, tmp_path, monkeypatch):
    """obstore takes it without a word, and then trusts no certificate of it."""
    (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(
        RelayError, match=r"destinations.lake.ca_file is .*, which holds no certificate in PEM form"
    ):
        options(ca_file=tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(RelayError, match=r"SSL_CERT_FILE is .*: it holds no certificate in PEM form"):
        options()


@pytest.mark.parametrize(
    ("endpoint", "allowed"),
    [("http://127.0.0.1:9000", True), ("https://minio.example.com", False), (None, False)],
)
def test_only_this_machine_is_asked_without_tls(endpoint, allowed):
    assert options(endpoint=endpoint)["allow_http"] is allowed


async def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "consumer.destinations.object_store.clients", None)
    with pytest.raises(RelayError, match=r"Install jira-audit-relay\[object-store\]"):
        async with opened("s3://audit/jira"):
            pass


@pytest.mark.parametrize("content", ["", "no key", "sig"])
async def test_an_account_key_that_is_none_is_named_and_not_shown(content, tmp_path):
    (tmp_path / "credential").write_text(f"{content}-secret")
    with pytest.raises(RelayError, match=r"destinations\.lake\.credential_file") as caught:
        async with opened("az://acmeaudit/audit", credential_file=tmp_path / "credential"):
            pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "cloud"),
    [
        (None, "public"),
        ("https://acmeaudit.blob.core.usgovcloudapi.net", "usgov"),
        ("https://acmeaudit.blob.core.chinacloudapi.cn", "china"),
    ],
)
def test_the_login_server_follows_from_the_endpoint(endpoint, cloud):
    config = ObjectStoreConfig(kind="object-store", location="az://acmeaudit/audit", endpoint=endpoint)
    assert _azure_cloud(config) == cloud
