"""The settings that the pages show are settings that the relay loads."""

import re
import tomllib
from pathlib import Path

import pytest

from management.settings import Settings, load

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "deploy/azure/README.md")
BLOCKS = [
    (page, block)
    for page in PAGES
    for block in re.findall(
        r"^```toml\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
]


def test_the_small_file_loads_and_needs_nothing_more(tmp_path):
    """deploy/relay.toml loads with the key file that it names, and has Kafka, a key and a destination."""
    config = tmp_path / "relay.toml"
    config.write_text((ROOT / "deploy/relay.toml").read_text("utf-8"))
    (tmp_path / "relay.key").write_text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    settings = load(config, {})

    assert (settings.kafka.bootstrap, settings.kafka.replication_factor) == ("localhost:9092", 1)
    assert settings.secrets.key_file == tmp_path / "relay.key"
    assert list(settings.destinations) == ["sentinel"]


@pytest.mark.parametrize("table", ["kafka", "secrets"])
def test_the_small_file_without_a_table_loads(tmp_path, table):
    """deploy/relay.toml loads without each table that it says may be left out."""
    text = (ROOT / "deploy/relay.toml").read_text("utf-8")
    left_out = re.sub(rf"^\[{table}\].*?(?=^\[|^# The)", "", text, flags=re.MULTILINE | re.DOTALL)
    config = tmp_path / "relay.toml"
    config.write_text(left_out)
    (tmp_path / "relay.key").write_text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")

    assert left_out != text
    assert getattr(load(config, {}), table) == getattr(Settings(), table)


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[f"{page}-{n}" for n, (page, _) in enumerate(BLOCKS)])
def test_each_table_of_settings_on_a_page_loads(tmp_path, page, block):
    """Each TOML block of a page has known settings with valid values; an ellipsis is filled in."""
    block = block.replace("dcr-…", "dcr-" + 32 * "0").replace("…", "relay")
    block = re.sub(r'^\w+_file = ".*"$', "", block, flags=re.MULTILINE)
    if "sasl_username" in block:
        block = block.replace("[kafka]\n", '[kafka]\nsasl_password = "p"\n')
    assert tomllib.loads(block), page
    config = tmp_path / "relay.toml"
    config.write_text(block)
    load(config, {})
