"""The consumer: Kafka to destinations.

Enters: records of the event topics.
Leaves: requests to destinations, dead letters, committed offsets, status records.
May not know: sources, the management of organizations, the command line.

Live or history: `pipeline_builder.py` joins topics and flows, and each kind's `destination.py` joins flows and tables.
Routes by organization: `delivery/routes.py`. Memory in flight: `Sender.wait_for_capacity` holds the pump back, `Limits` of the
destination bounds bodies, and `BufferLimits` in `timing.py` bounds the records that wait.
"""

import os

# polars enables backtraces unless the operator chose; a corrupt message would print fifty lines of Rust.
os.environ.setdefault("RUST_BACKTRACE", "0")
