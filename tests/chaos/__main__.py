"""Play faults of every kind against a whole relay, and judge whether it kept the promises of docs/guarantees.md."""

import argparse
import asyncio
import random
import sys

from tests.chaos.plan import CLUSTER_KINDS, KINDS, OPT_IN_KINDS, SINGLE_BROKER_KINDS
from tests.chaos.run import RoundOptions, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=None, help="determines the planned faults; default: a random seed"
    )
    parser.add_argument(
        "--minutes", type=float, default=3.0, help="minutes of faults, before the relay may settle"
    )
    parser.add_argument("--producers", type=int, default=2, help="producer processes")
    parser.add_argument(
        "--consumers", type=int, default=2, help="consumer processes; with 0 nothing is delivered"
    )
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1, help="brokers of Kafka")
    parser.add_argument("--gap", type=float, default=2.0, help="mean seconds between two faults")
    parser.add_argument(
        "--only", default="", help=f"kinds of faults, separated by commas, from: {', '.join(KINDS)}"
    )
    parser.add_argument("--keep", action="store_true", help="keep the logs of a round that passed, too")
    arguments = parser.parse_args()
    impossible = SINGLE_BROKER_KINDS if arguments.brokers > 1 else CLUSTER_KINDS.keys()
    kinds = {
        kind.strip() for kind in arguments.only.split(",") if kind.strip()
    } or KINDS.keys() - OPT_IN_KINDS - impossible
    if unknown := kinds - KINDS.keys():
        parser.error(f"unknown kind of fault: {', '.join(sorted(unknown))}")
    if found := kinds & impossible:
        parser.error(f"not with --brokers {arguments.brokers}: {', '.join(sorted(found))}")
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    options = RoundOptions(
        seed,
        arguments.minutes,
        arguments.producers,
        arguments.consumers,
        arguments.brokers,
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
