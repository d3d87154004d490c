"""What a cluster says of the names that a destination writes to; another object's name would take documents in silence."""

import re
from typing import Any, Literal

from consumer.destinations.elasticsearch.response import ClusterResponse
from consumer.formats.source_labels import ECS_OBJECT

Found = Literal["right", "absent", "alias", "data stream", "index", "unknown"]
"""What has the name. `unknown`: the cluster does not say, or the relay may not look."""

LOADED_FIELDS = frozenset({ECS_OBJECT, "uid", "class_uid"})
"""A template of deploy/elasticsearch has one of these fields: the first of the format ecs, `uid` of native, `class_uid` of ocsf."""

_MONTH = r"-(?:[0-9]{4}\.[0-9]{2}|undated)"


def find_stream(response: ClusterResponse, name: str) -> Found:
    """Return what has the name of a data stream, by the answer of `GET /_resolve/index/NAME`. Right: a data stream."""
    if response.status == 404:
        return "absent" if response.error().type == "index_not_found_exception" else "unknown"
    match _json(response):
        case {"indices": list(indices), "aliases": list(aliases), "data_streams": list(streams)}:
            kinds: tuple[tuple[Found, list[Any]], ...] = (
                ("right", streams),
                ("index", indices),
                ("alias", aliases),
            )
            return next((kind for kind, found in kinds if name in _names(found)), "absent")
        case _:
            return "unknown"


def find_months(response: ClusterResponse, prefix: str) -> tuple[Found, str]:
    """Return the first name of a month that is no index, by the answer of `GET /_resolve/index/PREFIX-*`. Right: there is none."""
    match _json(response):
        case {"aliases": list(aliases), "data_streams": list(streams)}:
            month = re.compile(re.escape(prefix) + _MONTH)
            kinds: tuple[tuple[Found, list[Any]], ...] = (("alias", aliases), ("data stream", streams))
            for kind, found in kinds:
                for name in filter(month.fullmatch, _names(found)):
                    return kind, name
            return "right", ""
        case _:
            return "unknown", ""


def lacks_template(response: ClusterResponse) -> bool:
    """Whether no template of the relay's fits a name, by `POST /_index_template/_simulate_index/NAME`. Unknown is False."""
    match _json(response):
        case {"template": {"mappings": {"properties": {**properties}}}}:
            return not LOADED_FIELDS & properties.keys()
        case {"template": {}}:
            return True
        case found:
            return bool(found == {})


def _names(found: list[Any]) -> list[str]:
    return [str(each["name"]) for each in found if isinstance(each, dict) and "name" in each]


def _json(response: ClusterResponse) -> Any:
    """Return the JSON of an answer with status 200, and None of another."""
    try:
        return response.document() if response.status == 200 else None
    except ValueError:
        return None
