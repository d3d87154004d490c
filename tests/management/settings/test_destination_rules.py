"""Filters and privacy rules in the settings: how they are written, and that a fault ends the start."""

import pytest

from management.settings import Settings, load
from tests.support.settings import CANARY, SENTINEL, load_error, write_config

NAME = "RELAY_DESTINATIONS__SENTINEL__"
KEY = f"{CANARY}-of-more-than-32-characters"


def test_a_file_and_the_environment_say_the_same(tmp_path):
    """In the environment `hide` is a JSON object, and the key of hashes may be in a file, as every secret."""
    (tmp_path / "key").write_text(f"{KEY}\n")
    path = write_config(
        "[destinations.sentinel]\n"
        f'endpoint = "{SENTINEL[NAME + "ENDPOINT"]}"\n'
        f'rule_id = "{SENTINEL[NAME + "RULE_ID"]}"\n'
        "where = \"category = 'permissions'\"\n"
        'hide = { remoteAddress = "mask", names = "hash" }\n'
        f'hide_key_file = "{tmp_path / "key"}"\n'
    )
    environ = SENTINEL | {
        NAME + "WHERE": "category = 'permissions'",
        NAME + "HIDE": '{"remoteAddress": "mask", "names": "hash"}',
        NAME + "HIDE_KEY": KEY,
    }
    assert load(path, {}).destinations == load(environ=environ).destinations
    assert load(path, {}).destinations["sentinel"].hide_key.get_secret_value() == KEY


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"WHERE": "sumary = 'x'"}, "destinations.sentinel.where has an unknown column sumary: did you mean summary?"),
        ({"WHERE": "id = MAX(id)"}, "destinations.sentinel.where uses Max, which looks at other events"),
        ({"HIDE": '{"sumary": "drop"}'}, "destinations.sentinel.hide has an unknown column sumary: did you mean summary?"),
        ({"HIDE": '{"names": "hash"}'}, "set hide_key or hide_key_file."),
        ({"HIDE": '{"names": "erase"}'}, "destinations.sentinel.hide.names = 'erase' (RELAY_DESTINATIONS__SENTINEL__HIDE): must be 'drop', 'hash' or 'mask'."),
        ({"HIDE": "names"}, "must be a JSON object in the environment"),
        ({"HIDE": '["names"]'}, "must be a JSON object in the environment"),
        ({"HIDE": '{"names": "hash"}', "HIDE_KEY": CANARY}, "destinations.sentinel.hide has the rule hash, and hide_key has 20 characters"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_work_ends_the_start(given, said):
    """The message names the setting and the correction, and shows no secret."""
    message = load_error(environ=SENTINEL | {NAME + name: value for name, value in given.items()})
    assert said in message
    assert CANARY not in message


def test_every_wrong_rule_is_named_at_once():
    message = load_error(
        environ=SENTINEL
        | {NAME + "WHERE": "x = 1"}
        | {name.replace("SENTINEL", "SOC"): value for name, value in SENTINEL.items()}
        | {"RELAY_DESTINATIONS__SOC__KIND": "sentinel", "RELAY_DESTINATIONS__SOC__WHERE": "y = 1"}
    )
    assert [line.split(" ")[0] for line in message.splitlines()] == [
        "destinations.sentinel.where",
        "destinations.soc.where",
    ]


LAKE = {"kind": "object-store", "location": "s3://audit/jira"}
SECURITY_LAKE = {
    "kind": "object-store",
    "location": "s3://audit/ext/jira",
    "layout": "security-lake",
    "format": "ocsf",
    "region": "eu-west-1",
}


@pytest.mark.parametrize(
    ("one", "other", "refused"),
    [
        (LAKE, LAKE | {"where": "id > 7"}, True),
        (LAKE, LAKE | {"by_organization": {"acme.atlassian.net": "acme"}}, True),
        (SECURITY_LAKE, SECURITY_LAKE | {"where": "id > 7"}, True),
        (LAKE, LAKE | {"endpoint": "https://minio.example.com"}, False),
        (LAKE, LAKE | {"location": "s3://audit/other"}, False),
        (SECURITY_LAKE, SECURITY_LAKE | {"account_id": "external_other"}, False),
    ],
)
def test_no_two_object_stores_write_to_one_folder(one, other, refused):
    """With another `where` each took the objects of the other for its own with gaps, and filled them again."""
    given = {"destinations": {"one": one, "other": other}}
    if not refused:
        assert len(Settings.model_validate(given).destinations) == 2
        return
    with pytest.raises(ValueError, match=r"destinations\.one and destinations\.other write to one folder"):
        Settings.model_validate(given)
