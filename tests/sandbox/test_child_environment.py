import tomllib

from management.settings import load
from relay.credentials.encryption_keys import make_encryption_key_file
from sandbox.child_environment import Addresses, render_settings, service_environment


def test_the_relay_accepts_the_settings_of_a_sandbox(tmp_path):
    """The settings are valid for a directory name with quotes, backslashes and characters outside ASCII."""
    directory = tmp_path / 'a "strange" \\ ünlucky 💥'
    directory.mkdir()
    key_file = make_encryption_key_file(directory)
    sentinel = {
        "endpoint": "http://127.0.0.1:6",
        "rule_id": "dcr-" + "0" * 32,
        "credential": "managed-identity",
    }
    http = {"url": "http://127.0.0.1:7/live", "headers_file": str(directory / "headers")}
    at = Addresses("127.0.0.1:1234", "http://127.0.0.1:5", {"sentinel": sentinel, "http": http})
    file = directory / "relay.toml"
    file.write_text(render_settings(directory, at), "utf-8")
    loaded = load(file, {})
    assert loaded.kafka.bootstrap == "127.0.0.1:1234"
    assert loaded.secrets.key_file == key_file
    assert loaded.destinations["sentinel"].rule_id == sentinel["rule_id"]
    assert loaded.destinations["http"].url.get_secret_value() == http["url"]
    assert tomllib.loads(file.read_text("utf-8"))["producer"]["interval_seconds"] == 2


def test_services_inherit_no_settings_identity_or_proxy():
    """The environment of a service is the caller's, without settings, Azure identities and proxies."""
    environ = {
        "PATH": "/bin",
        "RELAY_KAFKA__BOOTSTRAP": "prod:9092",
        "Relay_Console__Token": "x",
        "AZURE_CLIENT_SECRET": "x",
        "IDENTITY_ENDPOINT": "http://prod",
        "MSI_ENDPOINT": "http://prod",
        "HTTPS_PROXY": "http://proxy",
        "no_proxy": "*",
    }
    assert service_environment(environ, {"IDENTITY_ENDPOINT": "http://127.0.0.1:1"}, 99) == {
        "PATH": "/bin",
        "no_proxy": "*",
        "IDENTITY_ENDPOINT": "http://127.0.0.1:1",
        "RELAY_TELEMETRY__LISTEN": "127.0.0.1:99",
        "RELAY_CONSUMER__PROCESSES": "1",
    }
