"""What to fetch, as a lock file says it: one artifact a line, `coordinate size sha512`."""

from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Artifact:
    """`coordinate` is Maven's: group:name:packaging[:classifier]:version; `size` is in bytes."""

    coordinate: str
    size: int
    sha512: str

    @property
    def file_name(self) -> str:
        _, name, packaging, classifier, version = parts(self.coordinate)
        return "-".join(filter(None, (name, version, classifier))) + f".{packaging}"

    @property
    def path(self) -> str:
        """Where it stands in a Maven repository."""
        group, name, _, _, version = parts(self.coordinate)
        return f"{group.replace('.', '/')}/{name}/{version}/{self.file_name}"


def parts(coordinate: str) -> tuple[str, str, str, str, str]:
    """Return group, name, packaging, classifier (or "") and version."""
    group, name, packaging, *classifier, version = coordinate.split(":")
    return group, name, packaging, classifier[0] if classifier else "", version


def parse(text: str) -> tuple[Artifact, ...]:
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return tuple(Artifact(coordinate, int(size), sha512) for coordinate, size, sha512 in lines)


def dump(artifacts: tuple[Artifact, ...]) -> str:
    return "".join(f"{a.coordinate} {a.size} {a.sha512}\n" for a in artifacts)


def kafka() -> tuple[Artifact, ...]:
    """Return the jars of the embedded Kafka, in the order of its class path."""
    return parse((files("embedded") / "jars.lock").read_text())


def kafka_version() -> str:
    return next(parts(a.coordinate)[4] for a in kafka() if ":kafka_2.13:" in a.coordinate)
