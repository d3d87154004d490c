"""The artifacts to download, from a lock file: one artifact a line, `coordinate size sha512`."""

from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a Maven repository. `coordinate` is group:name:packaging[:classifier]:version; `size` is in bytes."""

    coordinate: str
    size: int
    sha512: str

    @property
    def file_name(self) -> str:
        _, name, packaging, classifier, version = split_coordinate(self.coordinate)
        return "-".join(filter(None, (name, version, classifier))) + f".{packaging}"

    @property
    def path(self) -> str:
        """Return its path in a Maven repository."""
        group, name, _, _, version = split_coordinate(self.coordinate)
        return f"{group.replace('.', '/')}/{name}/{version}/{self.file_name}"


def split_coordinate(coordinate: str) -> tuple[str, str, str, str, str]:
    """Return group, name, packaging, classifier (or "") and version."""
    group, name, packaging, *classifier, version = coordinate.split(":")
    return group, name, packaging, classifier[0] if classifier else "", version


def parse_lock_file(text: str) -> tuple[Artifact, ...]:
    """Return the artifacts of a lock file, in its order."""
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return tuple(Artifact(coordinate, int(size), sha512) for coordinate, size, sha512 in lines)


def format_lock_file(artifacts: tuple[Artifact, ...]) -> str:
    """Return the text of a lock file."""
    return "".join(f"{a.coordinate} {a.size} {a.sha512}\n" for a in artifacts)


def kafka_artifacts() -> tuple[Artifact, ...]:
    """Return the jars of the embedded Kafka, in the order of its class path."""
    return parse_lock_file((files("embedded") / "jars.lock").read_text())


def kafka_version() -> str:
    """Return the version of the embedded Kafka, such as 4.3.1."""
    return next(
        split_coordinate(a.coordinate)[4] for a in kafka_artifacts() if ":kafka_2.13:" in a.coordinate
    )
