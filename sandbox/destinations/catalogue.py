"""The kinds of destinations that a sandbox has, one line each."""

from collections.abc import Mapping, Sequence
from typing import Final

from sandbox.destinations.contract import OpenPeer
from sandbox.destinations.http import open_http
from sandbox.destinations.sentinel import open_sentinel

PEERS: Final[Mapping[str, OpenPeer]] = {
    "sentinel": open_sentinel,
    "http": open_http,
}
"""Kind, which is the name of the destination too: how to run its peer."""

DEFAULT: Final[Sequence[str]] = ("sentinel",)
"""The kinds of a sandbox that names none."""
