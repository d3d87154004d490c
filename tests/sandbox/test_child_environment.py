import itertools
import tomllib

import pytest

from management.settings import load
from relay.credentials.keyring import make_key_file
from sandbox.child_environment import Addresses, render_settings, service_environment
from sandbox.faults import plan_faults


@pytest.mark.parametrize("duration", [1, 10, 20, 60, 3600])
def test_within_a_duration_each_fault_comes_once_and_can_heal(duration):
    """One after the other, each over well before the end."""
    planned = list(plan_faults(duration))
    assert [fault.kind for fault in planned] == ["429 of a Jira", "403 of the sink", "producer killed"]
    for fault, following in itertools.pairwise([*planned, None]):
        end = following.at if following else duration
        assert 0 < fault.at < fault.at + fault.seconds < end


def test_without_end_faults_come_in_rounds():
    """The first round begins soon; the order stays."""
    planned = list(itertools.islice(plan_faults(None), 7))
    assert planned[0].at < 20
    assert planned[6].kind == planned[0].kind
    assert all(later.at - earlier.at >= 20 for earlier, later in itertools.pairwise(planned))


def test_the_settings_of_a_sandbox_are_settings(tmp_path):
    """Whatever the directory is called."""
    directory = tmp_path / 'a "strange" \\ ünlucky 💥'
    directory.mkdir()
    key_file = make_key_file(directory)
    at = Addresses("127.0.0.1:1234", "http://127.0.0.1:5", "http://127.0.0.1:6", "dcr-" + "0" * 32)
    file = directory / "relay.toml"
    file.write_text(render_settings(directory, at), "utf-8")
    loaded = load(file, {})
    assert loaded.kafka.bootstrap == "127.0.0.1:1234"
    assert loaded.secrets.key_file == key_file
    assert loaded.destinations["sentinel"].rule_id == at.rule_id
    assert tomllib.loads(file.read_text("utf-8"))["producer"]["interval_seconds"] == 2


def test_services_get_nothing_from_the_environment_of_whoever_starts_them():
    """Neither settings nor Azure's identity nor a proxy; all else stays."""
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
    }
