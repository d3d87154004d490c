"""The Source contract as a suite: each public coroutine of its modules is a claim that holds for every source.

A source brings a SourceWorld: its simulator, and how to make records and faults in it. Questions that its API cannot
be asked are None or empty there, and the check says so by skipping.
"""

import inspect

from tests.contracts.source import answers, connection, reading, requests
from tests.contracts.source.world import TABLE, OpenedWorld, setup

__all__ = ["CHECKS", "TABLE", "OpenedWorld", "setup"]

CHECKS = [
    function
    for module in (reading, answers, connection, requests)
    for name, function in vars(module).items()
    if inspect.iscoroutinefunction(function)
    and function.__module__ == module.__name__
    and not name.startswith("_")
]
"""Each public coroutine of these modules, so that none is forgotten."""
