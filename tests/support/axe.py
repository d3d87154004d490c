"""The accessibility checker axe in a page of a browser, where the machine has the package."""

import json
from pathlib import Path
from typing import Any

import pytest

VERSION = "4.14.1"
_PREFIX = Path("~/.cache/jira-audit-relay/axe")

COMMAND = f"npm install --prefix {_PREFIX} axe-core@{VERSION}"
_RUN = "options => axe.run(document, options)"
_ALL = {"resultTypes": ["violations"]}
_CONTRAST = _ALL | {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


class AccessibilityChecker:
    """axe, loaded. Skips the test without the package."""

    def __init__(self) -> None:
        folder = _PREFIX.expanduser() / "node_modules" / "axe-core"
        if not _has_version(folder):
            pytest.skip(f"axe is not installed: {COMMAND}")
        self._source = (folder / "axe.min.js").read_text("utf-8")

    async def violations(self, page: Any) -> list[str]:
        """Return what axe finds in the page: every rule in light, and those about colours in dark.

        The debugger's protocol puts the script there, so that the Content-Security-Policy stays as it is.
        """
        found: list[str] = []
        await page.evaluate(self._source)
        schemes: dict[str, dict[str, Any]] = {"light": _ALL, "dark": _CONTRAST}
        for scheme, options in schemes.items():
            await page.emulate_media(color_scheme=scheme)
            for rule in (await page.evaluate(_RUN, options))["violations"]:
                found += [f"{scheme}: {rule['help']}: {node['html'][:200]}" for node in rule["nodes"]]
        return found


def _has_version(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "package.json").read_text("utf-8"))["version"] == VERSION)
    except (OSError, ValueError, KeyError):
        return False
