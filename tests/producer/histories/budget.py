"""How many histories a run plays."""

import os

EXAMPLES = int(os.environ.get("RELAY_HISTORIES", "60"))
"""Number of histories. From `MANY` on they are random, and each step meets all faults, not a share."""
MANY = 1_000
SHARE = 11
"""Of the pairs of a step and a fault, one in this many is played by a small run."""
