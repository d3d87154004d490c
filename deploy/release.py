#!/usr/bin/env python3
"""Build the files of a release into dist/release, offline: `make release`.

The same commit gives the same files: the times in them are that of the commit.
"""

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = Path(sys.executable).parent
CHART = ROOT / "deploy/helm/jira-audit-relay"


def notes_of(changelog: str, version: str) -> str:
    """Return the section of a version, without its heading. Raises ValueError if the version has no dated section."""
    found = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)",
        changelog,
        re.MULTILINE | re.DOTALL,
    )
    if found is None:
        raise ValueError(f"CHANGELOG.md has no section [{version}] with a date: cut the version first.")
    return found[1].strip() + "\n"


def build_packages(folder: Path, epoch: int) -> None:
    """Build wheel and source archive, twice. Raises ValueError if the second ones differ from the first."""
    with tempfile.TemporaryDirectory() as again:
        for target in (folder, Path(again)):
            run([sys.executable, "-m", "hatchling", "build", "-d", target], SOURCE_DATE_EPOCH=str(epoch))
        for path in Path(again).iterdir():
            if path.read_bytes() != (folder / path.name).read_bytes():
                raise ValueError(f"{path.name} differs when it is built again.")


def pack(source: Path, archive: Path, name: str, epoch: int) -> None:
    """Write a folder as a tar archive with gzip, in which it is called `name`: sorted, without owners, with one time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(each for each in source.rglob("*") if each.is_file()):
            entry = tarfile.TarInfo(f"{name}/{path.relative_to(source).as_posix()}")
            entry.size, entry.mtime, entry.mode = path.stat().st_size, epoch, 0o644
            with path.open("rb") as content:
                tar.addfile(entry, content)
    archive.write_bytes(gzip.compress(raw.getvalue(), mtime=epoch))


def write_components(folder: Path, version: str) -> None:
    """Write the lock of what runs, and the list of its components (SBOM, CycloneDX)."""
    lock = folder / f"jira-audit-relay-{version}-requirements.txt"
    lock.write_bytes(run([sys.executable, ROOT / "deploy/runtime_lock.py"]))
    run([
        TOOLS / "cyclonedx-py", "requirements", lock, "--pyproject", ROOT / "pyproject.toml",
        "--output-reproducible", "--output-format", "JSON", "--output-file", folder / f"jira-audit-relay-{version}.cdx.json",
    ])  # fmt: skip


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS of every file, as `sha256sum --check` reads it."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines), "utf-8")


def run(command: list[str | Path], **variables: str) -> bytes:
    """Run a command in the repository, and return its output. Raises CalledProcessError."""
    environment = os.environ | variables
    done = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=300
    )
    return done.stdout


def release(folder: Path) -> None:
    """Build everything but the image into a folder, which is emptied first."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    notes = notes_of((ROOT / "CHANGELOG.md").read_text("utf-8"), version)
    epoch = int(run(["git", "log", "-1", "--format=%ct"]))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    build_packages(folder, epoch)
    pack(CHART, folder / f"jira-audit-relay-{version}-chart.tgz", "jira-audit-relay", epoch)
    with tempfile.TemporaryDirectory() as docs:
        run([sys.executable, "-m", "tests.docs.site", docs])
        pack(Path(docs) / "site", folder / f"jira-audit-relay-{version}-docs.tgz", "docs", epoch)
    write_components(folder, version)
    (folder / f"jira-audit-relay-{version}-notes.md").write_text(notes, "utf-8")
    write_checksums(folder)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist/release").absolute()
    try:
        release(target)
    except ValueError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\n{error.stdout.decode()}{error.stderr.decode()}")
    sys.stdout.write(f"The release is in {target}. `make image` builds the image, where Docker is.\n")
