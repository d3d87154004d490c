"""The panels of the dashboards of Kafka and of replays."""

from panels import BY, NAMED, C, Dashboard, P, Panel, quantiles, rate

KAFKA = Dashboard(
    "Kafka",
    (),
    (
        Panel(
            "Shards",
            "Shards in each state, by process; closed: a reason at /readyz keeps it from publishing.",
            "short",
            ((f"sum by (instance, state) ({P}_shards_by_state{{[J]}})", "{{instance}} {{state}}"),),
        ),
        Panel(
            "Shards without an owner",
            "Shards that no scraped producer owns.",
            "short",
            (
                (
                    f"sum(max by (namespace, job) ({P}_configured_shards{{[J]}})) - sum({P}_shards_by_state{{[J]}})",
                    "without an owner",
                ),
            ),
            "stat",
        ),
        Panel(
            "Memberships in doubt",
            "Memberships that Kafka does not confirm, by process.",
            "short",
            (
                (f'sum by (instance) ({P}_membership_state{{[J], state="unconfirmed"}})', "{{instance}}"),
                (f'sum by (instance) ({C}_membership_state{{[J], state="unconfirmed"}})', "{{instance}}"),
            ),
        ),
        Panel(
            "Missing copies",
            "Partitions of the relay's topics that lack copies; Kafka refuses writes to offline and under_min_isr ones.",
            "short",
            (
                (f"max by (state) ({P}_kafka_partitions_by_state{{[J]}})", "{{state}}, seen by producers"),
                (f"max by (state) ({C}_kafka_partitions_by_state{{[J]}})", "{{state}}, seen by consumers"),
            ),
        ),
        Panel(
            "Transactions",
            "Transactions per second, by outcome; fenced: another process took the shard over.",
            "ops",
            ((rate(f"{P}_transactions_total", "[J]", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Duration of a transaction",
            "Time from the start of a transaction to the answer to its commit.",
            "s",
            quantiles(f"{P}_transaction_duration_seconds", "[J]"),
        ),
        Panel(
            "Loaded shards",
            "Shards loaded from Kafka within an hour, at take-overs and after failed transactions.",
            "short",
            ((f"sum by (instance) (increase({P}_shard_loads_total{{[J]}}[1h]))", "{{instance}}"),),
        ),
        Panel(
            "Written",
            "Events committed to Kafka per second.",
            "ops",
            ((rate(f"{P}_events_published_total", "[J]", "job"), "events"),),
        ),
        Panel(
            "Read",
            "Records read for delivery per second.",
            "ops",
            ((rate(f"{C}_events_read_total", "[J]", BY), NAMED),),
        ),
        Panel(
            "Released",
            "Records read and not delivered when their partition was released, within an hour; rebalances cause them.",
            "short",
            ((f"sum by ({BY}) (increase({C}_events_released_total{{[J]}}[1h]))", NAMED),),
        ),
        Panel(
            "Lag",
            "Offsets that each group has not committed.",
            "short",
            ((f"max by ({BY}) ({C}_lag_events{{[J]}})", NAMED),),
        ),
        Panel(
            "Retention used",
            "Part of the retention that the oldest event that waits has passed.",
            "percentunit",
            ((f"max by ({BY}) ({C}_retention_used_ratio{{[J]}})", NAMED),),
        ),
        Panel(
            "Lost",
            "Offsets that Kafka deleted before the destination accepted their events, within a day.",
            "short",
            ((f"sum by ({BY}) (increase({C}_offsets_lost_total{{[J]}}[1d]))", NAMED),),
        ),
        Panel(
            "Decoded singly",
            "Records decoded one by one within an hour, because their block was corrupt.",
            "short",
            ((f"sum by ({BY}) (increase({C}_events_decoded_singly_total{{[J]}}[1h]))", NAMED),),
        ),
    ),
)
REPLAY = Dashboard(
    "Replay",
    ("destination",),
    (
        Panel(
            "Replays",
            "Replays that have not ended, by state; a paused one waits for an operator.",
            "short",
            ((f"sum by (destination, state) ({C}_replays_by_state{{[R]}})", "{{destination}} {{state}}"),),
            "stat",
            12,
        ),
        Panel(
            "Live events that wait",
            "A replay waits while live events wait for the destination.",
            "short",
            ((f'max by (destination) ({C}_lag_events{{[R], flow="live"}})', "{{destination}}"),),
            "timeseries",
            12,
        ),
        Panel(
            "Read",
            "Records read for replays per second.",
            "ops",
            ((rate(f"{C}_events_read_total", '[R], flow="replay"', "destination"), "{{destination}}"),),
        ),
        Panel(
            "Accepted",
            "Events of replays accepted per second.",
            "ops",
            ((rate(f"{C}_events_accepted_total", '[R], flow="replay"', "destination"), "{{destination}}"),),
        ),
        Panel(
            "Left out",
            "Events that filters leave out of replays per second.",
            "ops",
            ((rate(f"{C}_events_skipped_total", '[R], flow="replay"', "destination"), "{{destination}}"),),
        ),
        Panel(
            "Requests",
            "Requests of replays per second, by class of status.",
            "ops",
            (
                (
                    rate(f"{C}_requests_total", '[R], flow="replay"', "destination, status"),
                    "{{destination}} {{status}}",
                ),
            ),
        ),
        Panel(
            "Repeated requests",
            "Requests of replays that are sent again, per second, by reason.",
            "ops",
            (
                (
                    rate(f"{C}_retries_total", '[R], flow="replay"', "destination, reason"),
                    "{{destination}} {{reason}}",
                ),
            ),
        ),
        Panel(
            "Duration of a request",
            "Time from the start of a request of a replay to its answer.",
            "s",
            quantiles(f"{C}_request_duration_seconds", '[R], flow="replay"', "destination"),
        ),
        Panel(
            "Dead letters",
            "Records of replays on the dead-letter topic within an hour, by reason.",
            "short",
            (
                (
                    f'sum by (destination, reason) (increase({C}_events_dead_lettered_total{{[R], flow="replay"}}[1h]))',
                    "{{destination}} {{reason}}",
                ),
            ),
        ),
        Panel(
            "Refilled from the source",
            "Events that producers publish again for replays, per second.",
            "ops",
            (
                (
                    rate(f"{P}_events_published_total", '[J], mode="refill"', "organization"),
                    "{{organization}}",
                ),
            ),
        ),
        Panel(
            "Defects",
            "Exceptions of the relay's own code in replays within an hour.",
            "short",
            (
                (
                    f'sum by (destination) (increase({C}_defects_total{{[R], flow="replay"}}[1h]))',
                    "{{destination}}",
                ),
            ),
        ),
    ),
)
