"""Trouble of every kind for a whole relay, and whether it kept its promises: see docs/guarantees.md."""

import argparse
import asyncio
import random
import sys

from tests.chaos.plan import KINDS, OPT_IN_KINDS
from tests.chaos.run import RoundOptions, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=None, help="what happens follows from it; drawn unless given"
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="of trouble; settling comes on top")
    parser.add_argument("--producers", type=int, default=2)
    parser.add_argument("--consumers", type=int, default=2)
    parser.add_argument("--gap", type=float, default=2.0, help="mean seconds between two events")
    parser.add_argument("--only", default="", help=f"kinds of events, by commas, of: {', '.join(KINDS)}")
    parser.add_argument("--keep", action="store_true", help="keep all logs even if all went well")
    arguments = parser.parse_args()
    kinds = {
        kind.strip() for kind in arguments.only.split(",") if kind.strip()
    } or KINDS.keys() - OPT_IN_KINDS
    if unknown := kinds - KINDS.keys():
        parser.error(f"no such kind of event: {', '.join(sorted(unknown))}")
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    options = RoundOptions(
        seed,
        arguments.minutes,
        arguments.producers,
        arguments.consumers,
        kinds,
        arguments.gap,
        arguments.keep,
    )
    try:
        sys.exit(0 if asyncio.run(run(options)) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
