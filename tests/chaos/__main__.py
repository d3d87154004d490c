"""Play faults of every kind against a whole relay, and judge whether it kept the promises of docs/guarantees.md."""

import argparse
import asyncio
import random
import signal
import sys

from tests.chaos.plan import KINDS, OPT_IN_KINDS, impossible_kinds
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
    parser.add_argument(
        "--processes", type=int, choices=(1, 2), default=1, help="processes that each consumer works in"
    )
    parser.add_argument("--watches", type=int, default=0, help="processes that count and seal days")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1, help="brokers of Kafka")
    parser.add_argument(
        "--controllers-apart",
        action="store_true",
        help="three controllers beside the brokers; needs --brokers 3",
    )
    parser.add_argument("--gap", type=float, default=2.0, help="mean seconds between two faults")
    parser.add_argument(
        "--only", default="", help=f"kinds of faults, separated by commas, from: {', '.join(KINDS)}"
    )
    parser.add_argument("--keep", action="store_true", help="keep the logs of a round that passed, too")
    arguments = parser.parse_args()
    if arguments.processes > 1 and not arguments.consumers:
        parser.error("--processes needs --consumers")
    if arguments.controllers_apart and arguments.brokers == 1:
        parser.error("--controllers-apart needs --brokers 3")
    impossible = impossible_kinds(
        arguments.brokers, controllers_apart=arguments.controllers_apart, processes=arguments.processes
    )
    kinds = {
        kind.strip() for kind in arguments.only.split(",") if kind.strip()
    } or KINDS.keys() - OPT_IN_KINDS - impossible
    if unknown := kinds - KINDS.keys():
        parser.error(f"unknown kind of fault: {', '.join(sorted(unknown))}")
    if found := kinds & impossible:
        parser.error(f"not with these brokers, controllers and processes: {', '.join(sorted(found))}")
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    options = RoundOptions(
        seed,
        arguments.minutes,
        arguments.producers,
        arguments.consumers,
        arguments.brokers,
        arguments.controllers_apart,
        kinds,
        arguments.gap,
        arguments.keep,
        arguments.watches,
        arguments.processes,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or brokers without controllers would go on
    try:
        sys.exit(0 if asyncio.run(run(options)) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
