"""Write jars.lock: `python -m embedded.artifact_lock`, after a change of KAFKA or LOGGER below.

`python -m embedded.artifact_lock FILE COORDINATE...` writes a lock file of single artifacts, without their dependencies.

It needs the network. Read the result before you commit it: jgo's resolution takes every root as a bill of
materials, so the logger is added without resolving it.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

from jgo.maven import MavenContext

from embedded.artifacts import Artifact, format_lock_file, split_coordinate

KAFKA = "org.apache.kafka:kafka_2.13:jar:4.3.1"
LOGGER = "org.slf4j:slf4j-simple:jar:1.7.36"


def resolve(coordinate: str, context: MavenContext) -> list[str]:
    """Return the coordinates of all artifacts on the class path of `coordinate`."""
    group, name, _, _, version = split_coordinate(coordinate)
    dependency = context.create_dependency(f"{group}:{name}:{version}")
    roots, others = context.resolver.resolve([dependency])
    found = [f"{d.groupId}:{d.artifactId}:jar:{d.version}" for d in others if d.scope != "test"]
    return [f"{d.groupId}:{d.artifactId}:jar:{d.version}" for d in roots] + sorted(found)


def lock_artifact(coordinate: str, context: MavenContext) -> Artifact:
    """Download an artifact, and return it with its size and sha512."""
    group, name, packaging, classifier, version = split_coordinate(coordinate)
    file = context.project(group, name).at_version(version).artifact(classifier, packaging).resolve()
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha512").hexdigest()
    return Artifact(coordinate, file.stat().st_size, digest)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), timeout=60)
        if len(sys.argv) > 1:
            target, coordinates = Path(sys.argv[1]), sys.argv[2:]
        else:
            target, coordinates = Path(__file__).with_name("jars.lock"), [*resolve(KAFKA, context), LOGGER]
        target.write_text(
            format_lock_file(tuple(lock_artifact(coordinate, context) for coordinate in coordinates))
        )


if __name__ == "__main__":
    main()
