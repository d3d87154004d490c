"""The files of certificates that the settings name."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

_FIELDS = ("certificate_file", "ca_file", "oauth_ca_file", "oidc_ca_file", "traces_ca_file")


def certificate_files(settings: BaseModel) -> dict[str, Path]:
    """Return the files in PEM by the name of their setting, such as `destinations.siem.certificate_file`."""
    return {
        f"{group}.{field}": path
        for group, model in _groups(settings)
        for field in _FIELDS
        if isinstance(path := getattr(model, field, None), Path)
    }


def _groups(settings: BaseModel) -> Iterator[tuple[str, object]]:
    for name in type(settings).model_fields:
        group = getattr(settings, name)
        if isinstance(group, Mapping):
            yield from ((f"{name}.{each}", model) for each, model in group.items())
        else:
            yield name, group
