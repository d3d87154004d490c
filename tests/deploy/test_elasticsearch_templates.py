"""The templates of deploy/elasticsearch: one set of fields for two products, and every field of a document in it.

tests/consumer/destinations/elasticsearch/test_opensearch.py loads them into a real OpenSearch.
"""

import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given, settings

from consumer.destinations.elasticsearch.config import ElasticsearchConfig
from consumer.destinations.elasticsearch.name_lookup import LOADED_FIELDS
from tests.support import ecs, ocsf
from tests.support.messages import event_records

FOLDER = Path(__file__).parents[2] / "deploy/elasticsearch"


def read(name):
    return json.loads((FOLDER / name).read_text())


def fields(shape, product):
    return read(f"fields-{shape}.{product}.json")["template"]["mappings"]["properties"]


def of_product(properties, product):
    """The fields with Elasticsearch's type for objects of any members in place of OpenSearch's."""
    match properties:
        case {"type": "flat_object"} if product == "opensearch":
            return {"type": "flattened", "ignore_above": 8191}
        case dict():
            return {name: of_product(each, product) for name, each in properties.items()}
    return properties


@pytest.mark.parametrize("shape", ["ecs", "native", "ocsf"])
def test_both_products_have_the_same_fields(shape):
    """They differ in the name of one type, which a document does not see."""
    assert of_product(fields(shape, "opensearch"), "opensearch") == fields(shape, "elasticsearch")
    assert LOADED_FIELDS & fields(shape, "elasticsearch").keys()


def unmapped(document, properties):
    """The paths of a document that no field has; below a flattened field every member has one."""
    for name, value in document.items():
        field = properties.get(name)
        if field is None:
            yield name
        elif "properties" in field:
            yield from (f"{name}.{path}" for path in unmapped(value, field["properties"]))


@given(event_records)
@settings(max_examples=50)
def test_every_field_of_a_document_has_a_type(event):
    """Mappings are not dynamic, so a field without a type is stored and never found. A document of a replay has all fields."""
    event = event | {"mode": "replay", "replay_id": "20261130-071500-ab12"}
    assert list(unmapped(ecs.document(event), fields("ecs", "elasticsearch"))) == []
    schema = {"@timestamp": "", **ocsf.document(event)}
    assert list(unmapped(schema, fields("ocsf", "elasticsearch"))) == []
    native = {"@timestamp": "", "uid": "", **ecs.without_nulls(event)}
    assert list(unmapped(native, fields("native", "elasticsearch"))) == []


def test_the_templates_fit_the_default_names():
    """Live is a data stream and history is none; each takes the fields by the name under which the page loads them."""
    config = ElasticsearchConfig(kind="elasticsearch", endpoint="https://localhost")
    for product in ("elasticsearch", "opensearch"):
        live = read(f"live.{product}.json")
        assert any(fnmatchcase(config.index, each) for each in live["index_patterns"])
        assert live["data_stream"] == {}
        assert live["composed_of"] == ["jira-audit-relay"]
    history = read("history.json")
    assert any(fnmatchcase(f"{config.history_index}-2026.11", each) for each in history["index_patterns"])
    assert "data_stream" not in history
    assert history["composed_of"] == ["jira-audit-relay"]


def test_no_rule_of_the_integration_reads_history():
    """Backfill and replays are in indices that neither a pattern of the integration nor one of the live template has."""
    config = ElasticsearchConfig(kind="elasticsearch", endpoint="https://localhost")
    live = [each for product in ("elasticsearch", "opensearch") for each in read(f"live.{product}.json")["index_patterns"]]  # fmt: skip
    for pattern in ("logs-atlassian_jira.audit-*", "logs-*", *live):
        assert not fnmatchcase(f"{config.history_index}-2026.11", pattern)
        assert fnmatchcase(config.index, pattern)


def test_every_file_is_loaded_by_the_page():
    """A file that no step names is a file that nobody loads; the page names the fields of other formats without their product."""
    page = (FOLDER.parents[1] / "docs/destinations/elasticsearch.md").read_text()
    for path in FOLDER.iterdir():
        assert path.name in page or f"`{path.name.partition('.')[0]}…`" in page, path.name
