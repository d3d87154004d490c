import json

import pytest
import structlog

from cli.app import _is_service
from cli.fatal import report_fatal
from relay.credentials.redaction import Redactor
from relay.errors import RelayError
from relay.telemetry.logs import configure_logging, mark_logged
from tests.support.command_line import logging_restored


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with logging_restored():
        yield tmp_path


ERROR = RelayError("Kafka is away: start it.")


@pytest.mark.parametrize("argument", [["--config", "other.toml"], ["--config=other.toml"], []])
def test_the_format_is_found_in_settings_that_are_wrong(directory, capsys, argument):
    """An error in the settings is a JSON line where the file asks for JSON, though the file cannot be used."""
    name = "other.toml" if argument else "relay.toml"
    (directory / name).write_text('unknown = 1\n[telemetry]\nlog_format = "json"\n')

    report_fatal(ERROR, [*argument, "produce"])

    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["message"]) == ("critical", "Kafka is away: start it.")


def test_the_environment_decides_the_format(directory, capsys, monkeypatch):
    """The variable wins over the file, as for every setting."""
    (directory / "relay.toml").write_text('[telemetry]\nlog_format = "json"\n')
    monkeypatch.setenv("RELAY_TELEMETRY__LOG_FORMAT", "text")

    report_fatal(ERROR, ["produce"])

    assert capsys.readouterr().err == "Kafka is away: start it.\n"


@pytest.mark.parametrize("content", ["not toml", 'telemetry = "x"', "[telemetry]\nlog_format = 3"])
def test_unreadable_settings_mean_json_in_a_file(directory, capsys, content):
    """Where no format can be read, standard error that is not a terminal gets JSON, as with the default."""
    (directory / "relay.toml").write_text(content)

    report_fatal(ERROR, ["consume"])

    assert json.loads(capsys.readouterr().err)["message"] == "Kafka is away: start it."


def test_an_error_has_one_line(directory, capsys):  # noqa: ARG001
    """An error that a service has logged when it failed is not logged again at the end of the process."""
    configure_logging("json", "info", Redactor())
    error = RelayError("Kafka is away: start it.")
    structlog.get_logger().error("A service failed.", reason=str(error))
    mark_logged(error)

    report_fatal(error, ["up"])

    assert len(capsys.readouterr().err.splitlines()) == 1


def test_only_services_have_a_log():
    """Only the standard error of a service is a log."""
    assert [_is_service(arguments) for arguments in (["--config", "x", "up"], ["topics", "check"])] == [
        True,
        False,
    ]
