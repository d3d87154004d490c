"""Builds the documentation site: `python -m tests.docs.site [FOLDER]` (default dist/docs), without a network.

The pages of docs/ are the site.
A file elsewhere in the repository that a page links to is copied beside them, so no link leaves the site.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs.reference import with_tables

ROOT = Path(__file__).parents[2]
COPIES = Path("repository")
"""The folder of the site for files from outside of docs/."""

NAVIGATION: dict[str, list[str]] = {
    "Start": ["index.md", "start.md", "why-not-the-connector.md", "faq.md"],
    "Concepts": ["concepts.md", "architecture.md", "guarantees.md", "proof.md", "security.md", "glossary.md"],
    "Sources": ["sources/jira-cloud.md"],
    "Destinations": [
        "destinations/sentinel.md",
        "destinations/sentinel-asim.md",
        "destinations/sentinel-content.md",
        "destinations/splunk.md",
        "destinations/elasticsearch.md",
        "destinations/object-store.md",
        "destinations/security-lake.md",
        "destinations/http.md",
        "destinations/otlp.md",
        "destinations/kafka.md",
        "destinations/filters.md",
        "destinations/ocsf.md",
    ],
    "Operations": [
        "operations/install.md",
        "operations/upgrade.md",
        "operations/backup.md",
        "operations/sizing.md",
        "operations/move.md",
        "operations/uninstall.md",
        "troubleshooting.md",
        "operations/runbook.md",
        "operations/alerts.md",
        "operations/silence.md",
        "console.md",
        "operations/destinations.md",
        "operations/replay.md",
        "operations/dead-letters.md",
        "operations/keys.md",
        "operations/secret-stores.md",
        "operations/kafka.md",
        "operations/network.md",
        "operations/logs.md",
        "operations/traces.md",
    ],
    "Reference": [
        "settings.md",
        "commands.md",
        "metrics.md",
        "reference/api.md",
        "reference/topics.md",
        "reference/schemas.md",
    ],
    "Project": ["evidence.md", "performance.md", "scale.md"],
}
"""The pages of each section in their order; a page that is not named follows at the end of its folder's section."""
_SECTION_OF = {
    "": "Project",
    "sources": "Sources",
    "destinations": "Destinations",
    "operations": "Operations",
    "reference": "Reference",
}
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
_MARKER = re.compile(r"(?:\d+\.|-) +")
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def place_of(path: Path) -> Path:
    """Return where a file of the repository is in the site, as a path from the root of the site."""
    return path.relative_to("docs") if path.is_relative_to("docs") else COPIES / path


def target_of(page: Path, link: str) -> Path:
    """Return the file that a link of a page names, as a path from the root of the repository; a folder is its README.

    Raises ValueError if the link leaves the repository.
    """
    target = Path(os.path.normpath(ROOT / page.parent / link)).relative_to(ROOT)
    return target / "README.md" if (ROOT / target / "README.md").is_file() else target


def with_links_of_the_site(page: Path, text: str) -> tuple[str, set[Path]]:
    """Return the text of a page with each link to a file as the site has it, and these files."""
    targets = set()

    def moved(found: re.Match[str]) -> str:
        target = target_of(page, found[1])
        targets.add(target)
        place = place_of(target / "index.md" if (ROOT / target).is_dir() else target)
        return f"]({Path(os.path.relpath(place, place_of(page).parent)).as_posix()}"

    parts = _FENCE.split(text)
    return "".join(
        part if part.lstrip().startswith("```") else _LINK.sub(moved, part) for part in parts
    ), targets


def indented_by_four(text: str) -> str:
    """Return a page whose lists indent the text of their items by four columns for each level, as the builder needs it.

    The pages indent it to the first word of the item, as code hosts need it.
    An item of several paragraphs gets a blank line behind it: without one, the builder takes the next item for its text.
    """
    columns: list[int] = []  # where the text of each open item begins, from the outer one on
    lines: list[str] = []
    fenced, loose = False, False
    for line in text.split("\n"):
        content = line.lstrip(" ")
        indent = len(line) - len(content)
        while columns and content and indent < columns[-1]:
            columns.pop()
        start = columns[-1] if columns else 0
        marker = None if fenced or indent != start else _MARKER.match(content)
        if marker and loose and lines[-1]:
            lines.append("")
        lines.append(" " * (4 * len(columns) + indent - start) + content if content else "")
        fenced ^= content.startswith("```")
        loose = bool(columns) and (loose or not content) and not marker
        if marker:
            columns.append(indent + len(marker[0]))
    return "\n".join(lines)


def listing(folder: Path) -> tuple[str, set[Path]]:
    """Return a page that lists the files of a folder, and these files."""
    files = {each.relative_to(ROOT) for each in (ROOT / folder).iterdir() if each.is_file()}
    lines = [f"- [{each.name}]({each.name})" for each in sorted(files)]
    return "\n".join([f"# {folder.as_posix()}", "", *lines, ""]), files


def gather(pages: Path) -> None:
    """Write the pages of docs/, and every file that they link to, into a folder.

    Raises FileNotFoundError if a link names no file.
    """
    waiting = {path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*") if path.is_file()}
    done: set[Path] = set()
    while waiting:
        path = waiting.pop()
        done.add(path)
        content: str | bytes
        targets: set[Path]
        if (ROOT / path).is_dir():
            place = place_of(path / "index.md")
            content, targets = listing(path)
        elif path.suffix == ".md":
            place = place_of(path)
            text = indented_by_four(with_tables((ROOT / path).read_text("utf-8")))
            content, targets = with_links_of_the_site(path, text)
        else:
            place, content, targets = place_of(path), (ROOT / path).read_bytes(), set()
        waiting |= targets - done
        (pages / place).parent.mkdir(parents=True, exist_ok=True)
        (pages / place).write_bytes(content.encode() if isinstance(content, str) else content)


def navigation(pages: Path) -> dict[str, list[str]]:
    """Return the pages of each section: those that are named and exist, then the others of its folder by name."""
    present = {path.relative_to(pages).as_posix() for path in pages.rglob("*.md")}
    named = {each for section in NAVIGATION.values() for each in section}
    sections = {title: [each for each in section if each in present] for title, section in NAVIGATION.items()}
    for page in sorted(present - named):
        folder = Path(page).parent.as_posix().removeprefix(".")
        if folder in _SECTION_OF:
            sections[_SECTION_OF[folder]].append(page)
    sections["Project"] += [each for each in sorted(present) if each.startswith("development/")]
    sections["Project"] += [
        "decisions/README.md",
        *(f"{COPIES}/{name}.md" for name in ("CONTRIBUTING", "CHANGELOG")),
    ]
    return {title: section for title, section in sections.items() if section}


def build(folder: Path) -> Path:
    """Build the site into a folder, and return its root. Any warning of the builder is an error.

    Raises FileNotFoundError if a link names no file, and CalledProcessError if the builder refuses a page.
    """
    shutil.rmtree(folder, ignore_errors=True)
    gather(folder / "pages")
    sections = navigation(folder / "pages")
    entries = ", ".join(f"{{{json.dumps(title)} = {json.dumps(names)}}}" for title, names in sections.items())
    settings = (ROOT / "zensical.toml").read_text("utf-8")
    settings = settings.replace("[project]\n", f"[project]\nnav = [{entries}]\n", 1)
    (folder / "zensical.toml").write_text(settings, "utf-8")
    command = [Path(sys.executable).with_name("zensical"), "build", "--strict", "--clean"]
    subprocess.run(command, cwd=folder, check=True, timeout=240, capture_output=True, text=True)
    return folder / "site"


def check_links(site: Path) -> None:
    """Look up every link and anchor of the site's pages, offline. Raises CalledProcessError if one leads nowhere."""
    command = [Path(sys.executable).with_name("lychee"), "--offline", "--no-progress", "--include-fragments"]
    command += ["--root-dir", site, *sorted(site.rglob("*.html"))]
    subprocess.run(command, check=True, timeout=240, capture_output=True, text=True)


if __name__ == "__main__":
    try:
        built = build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist/docs").absolute())
        check_links(built)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.stdout}\n{error.stderr}")
    print(f"The site: python3 -m http.server --bind 127.0.0.1 --directory {built}")  # noqa: T201
