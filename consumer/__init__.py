"""The consumer: Kafka to destinations.

Enters: records of the event topics.
Leaves: requests to destinations, dead letters, committed offsets, status records.
May not know: sources, the management of organizations, the command line.
"""

import os

# polars enables backtraces unless the operator chose; a corrupt message would print fifty lines of Rust.
os.environ.setdefault("RUST_BACKTRACE", "0")
