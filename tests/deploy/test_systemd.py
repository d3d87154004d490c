"""The units of deploy/systemd, checked without a running systemd."""

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from consumer.timing import ConsumerServiceTiming, ReporterTiming
from management import settings
from producer.service import ProducerServiceTiming
from relay.aio import CANCEL_ATTEMPTS, CANCEL_SECONDS
from relay.lifecycle import run_services

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.service"))}
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"
ANALYZE = shutil.which("systemd-analyze")


def systemd_version():
    """Return the version of systemd-analyze; 0 where there is none."""
    if ANALYZE is None:
        return 0
    done = subprocess.run([ANALYZE, "--version"], capture_output=True, text=True, timeout=240, check=False)
    return int((re.match(r"systemd (\d+)", done.stdout) or [0, 0])[1])


WITH_SYSTEMD = pytest.mark.skipif(
    systemd_version() < 252, reason="systemd-analyze 252 or newer is not installed: apt-get install systemd"
)
SECRET = re.compile("KEY|PASSWORD|SECRET|TOKEN")


def values_of(text, name):
    """Return the values of each line `name=` of a unit."""
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def environment_of(text, credentials):
    """Return the variables that a unit sets, with systemd's directories filled in."""
    pairs = (value.partition("=")[::2] for value in values_of(text, "Environment"))
    return {name: value.replace("%d", str(credentials)).replace("%C/%N", "/cache") for name, value in pairs}


def test_there_is_a_unit_for_each_service():
    """Producer, consumer and console have a unit, which runs their command with the settings file of the machine."""
    commands = {name: values_of(text, "ExecStart") for name, text in UNITS.items()}

    assert commands == {
        f"jira-relay-{service}": [
            f"/opt/jira-relay/bin/jira-relay --config /etc/jira-relay/relay.toml {command}"
        ]
        for service, command in {"console": "console", "consumer": "consume", "producer": "produce"}.items()
    }


@pytest.mark.parametrize("name", UNITS)
def test_the_program_accepts_the_settings_of_a_unit(name, tmp_path):
    """Each RELAY_ variable is a setting with an allowed value, and each credential that it names is loaded."""
    for credential in values_of(UNITS[name], "LoadCredential"):
        file, _, source = credential.partition(":")
        assert source == f"/etc/jira-relay/{file}"
        (tmp_path / file).write_text(KEY)

    loaded = settings.load(None, environment_of(UNITS[name], tmp_path))

    assert (loaded.secrets.key_file is None) == (name == "jira-relay-consumer")
    assert (loaded.console.token is None) == (name != "jira-relay-console")


def test_services_on_one_machine_have_ports_of_their_own():
    """No two units serve health and metrics at one address, and none serves them to other machines."""
    addresses = [environment_of(text, "/c")["RELAY_TELEMETRY__LISTEN"] for text in UNITS.values()]

    assert len(set(addresses)) == len(addresses) == 3
    assert all(address.startswith("127.0.0.1:") for address in addresses)


@pytest.mark.parametrize("name", UNITS)
def test_a_secret_is_a_credential(name):
    """No variable holds a secret, only the path of a credential."""
    named = {key: value for key, value in environment_of(UNITS[name], "/run/c").items() if SECRET.search(key)}

    assert all(key.endswith("_FILE") and value.startswith("/run/c/") for key, value in named.items())


def test_all_units_are_hardened_alike():
    """From DynamicUser to the filter of system calls, the units have the same lines."""
    parts = {text[text.index("# No user, no home") : text.index("[Install]")] for text in UNITS.values()}

    (part,) = parts
    for name, value in {"DynamicUser": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": ""}.items():
        assert values_of(part, name) == [value]


@pytest.mark.parametrize("name", UNITS)
def test_a_service_comes_back_and_has_time_to_stop(name):
    """A service is started again without a limit, and is killed only after its own limits of a stop have passed."""
    assert values_of(UNITS[name], "Restart") == ["always"]
    assert values_of(UNITS[name], "StartLimitIntervalSec") == ["0"]
    assert int(values_of(UNITS[name], "TimeoutStopSec")[0]) >= 45


def test_a_stop_ends_within_what_the_pages_promise():
    """Services have their time, then a few attempts to cancel them, then the process is aborted: 45 s in all at most."""
    stopping = inspect.signature(run_services).parameters["stopping_seconds"].default
    whole = stopping + CANCEL_ATTEMPTS * CANCEL_SECONDS + CANCEL_SECONDS
    consumer, reporter = ConsumerServiceTiming(), ReporterTiming()

    assert whole < 45
    # a destination that is silent, then a Kafka that is away: deliveries, the last report, the last status
    assert consumer.stop_seconds + reporter.stop_seconds + consumer.flush_seconds < stopping
    assert ProducerServiceTiming().stop_seconds + ProducerServiceTiming().final_status_seconds < stopping


@WITH_SYSTEMD
@pytest.mark.parametrize("name", UNITS)
def test_systemd_accepts_the_unit(name, tmp_path):
    """`systemd-analyze` finds no fault in the unit, and counts its exposure as low."""
    unit = tmp_path / f"{name}.service"
    unit.write_text(UNITS[name].replace("/opt/jira-relay/bin/jira-relay", sys.executable), "utf-8")

    def analyze(*arguments):
        command = [ANALYZE, *arguments, unit]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)

    verified = analyze("verify", "--man=no", "--recursive-errors=no")
    exposure = analyze("security", "--offline=true", "--no-pager", "--threshold=30")

    assert verified.returncode == 0, verified.stderr
    assert f"{name}.service:" not in verified.stdout + verified.stderr
    assert exposure.returncode == 0, exposure.stdout
