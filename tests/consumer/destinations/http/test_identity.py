"""Which URLs of an HTTP receiver are one target."""

import pytest

from consumer.destinations.http.client import secret_parts
from consumer.destinations.http.config import HttpConfig, identity
from consumer.targets.target import target_of

URL = "https://hooks.example.com/services/T1/SECRET-OF-PATH?sig=SECRET-OF-QUERY&v=1"


def targets(url=URL, **settings):
    config = HttpConfig(kind="http", url=url, **settings)
    return {flow: target_of("http", each) for flow, each in identity(config).items()}


@pytest.mark.parametrize(
    "same",
    [
        "HTTPS://Hooks.Example.com:443/services/T1/SECRET-OF-PATH?v=1&sig=other",
        "https://hooks.example.com./services/T1/SECRET-OF-PATH?sig=x&v=1&access_token=y&api_key=z",
    ],
)
def test_another_spelling_or_credential_is_the_same_target(same):
    """Case of scheme and host, the default port, the order of parameters, and parameters that hold a credential."""
    assert targets(same) == targets()


@pytest.mark.parametrize(
    "other",
    [
        URL.replace("hooks", "other"),
        URL.replace("example.com", "example.com:8443"),
        URL.replace("T1", "T2"),
        URL.replace("v=1", "v=2"),
    ],
)
def test_another_host_port_path_or_parameter_is_another_target(other):
    assert targets(other)["live"] != targets()["live"]


def test_a_named_receiver_keeps_its_identity_when_the_secret_of_its_path_changes():
    rotated = "https://hooks.example.com/services/T1/NEW-SECRET"
    assert targets(rotated, receiver="soc") == targets(receiver="soc")
    assert targets(rotated, receiver="soc") != targets(rotated, receiver="other")
    assert targets(rotated.replace("hooks", "other"), receiver="soc") != targets(receiver="soc")


def test_a_url_of_history_changes_the_target_of_history_alone():
    """One that is added, too: live events go on."""
    with_history = targets(history_url="https://hooks.example.com/history")
    other_history = targets(history_url="https://hooks.example.com/other")
    assert list(targets()) == ["live"]
    assert with_history["live"] == other_history["live"] == targets()["live"]
    assert with_history["history"] != other_history["history"]


def test_an_empty_path_is_the_root_and_escapes_have_one_case():
    assert targets("https://a.example.com") == targets("https://a.example.com/")
    assert targets("https://a.example.com/%c3%a4") == targets("https://a.example.com/%C3%A4")


@pytest.mark.parametrize("receiver", [None, "soc"])
def test_no_target_shows_a_secret(receiver):
    for target in targets(receiver=receiver, history_url=URL).values():
        assert "SECRET" not in target.address
        assert "hooks.example.com" in target.address


def test_every_form_of_a_secret_in_a_url_is_known():
    parts = secret_parts("https://a.example.com/in/P%2FSECRET?token=Q%3DSECRET")
    assert {"P%2FSECRET", "P/SECRET", "Q%3DSECRET", "Q=SECRET", "in/P%2FSECRET"} <= set(parts)
