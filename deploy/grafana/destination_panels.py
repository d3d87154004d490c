"""The panels of the dashboard of destinations."""

from panels import BY, NAMED, C, Dashboard, Panel, quantiles, rate

DESTINATIONS = Dashboard(
    "Destinations",
    ("destination", "flow"),
    (
        Panel(
            "States",
            "Flows in each state.",
            "short",
            ((f"sum by (state) ({C}_destination_state{{[D]}})", "{{state}}"),),
            "stat",
            12,
        ),
        Panel(
            "Paused by an operator",
            "Time since an operator paused the flow.",
            "s",
            ((f"time() - max by ({BY}) ({C}_operator_pause_timestamp_seconds{{[D]}})", NAMED),),
            "stat",
            12,
        ),
        Panel(
            "Events that wait",
            "Offsets that the group has not committed; transactions have offsets too, so it is seldom 0.",
            "short",
            ((f"max by ({BY}) ({C}_lag_events{{[D]}})", NAMED),),
        ),
        Panel(
            "Oldest event that waits",
            "Age of the oldest event read that the destination has not accepted.",
            "s",
            ((f"max by ({BY}) ({C}_oldest_unsent_seconds{{[D]}})", NAMED),),
        ),
        Panel(
            "Retention used",
            "Part of its topic's retention that the oldest event that waits has passed; at 100% Kafka deletes it.",
            "percentunit",
            ((f"max by ({BY}) ({C}_retention_used_ratio{{[D]}})", NAMED),),
        ),
        Panel(
            "Accepted",
            "Events accepted per second.",
            "ops",
            ((rate(f"{C}_events_accepted_total", "[D]", BY), NAMED),),
        ),
        Panel(
            "Left out",
            "Events that the filter of the destination leaves out per second.",
            "ops",
            ((rate(f"{C}_events_skipped_total", "[D]", BY), NAMED),),
        ),
        Panel(
            "Dead letters",
            "Records on the dead-letter topic within an hour, by reason.",
            "short",
            (
                (
                    f"sum by (destination, reason) (increase({C}_events_dead_lettered_total{{[D]}}[1h]))",
                    "{{destination}} {{reason}}",
                ),
            ),
        ),
        Panel(
            "Requests",
            "Requests per second, by class of status; none: no answer.",
            "ops",
            ((rate(f"{C}_requests_total", "[D]", "destination, status"), "{{destination}} {{status}}"),),
        ),
        Panel(
            "Repeated requests",
            "Requests whose events have to be sent again, per second, by reason.",
            "ops",
            ((rate(f"{C}_retries_total", "[D]", "destination, reason"), "{{destination}} {{reason}}"),),
        ),
        Panel(
            "Duration of a request",
            "Time from the start of a request to its answer.",
            "s",
            quantiles(f"{C}_request_duration_seconds", "[D]", "destination"),
        ),
        Panel(
            "Events in a request",
            "Events accepted by one request.",
            "short",
            quantiles(f"{C}_request_events", "[D]", "destination"),
        ),
        Panel(
            "From Kafka to the destination",
            "Time from the collection of an event to its acceptance.",
            "s",
            quantiles(f"{C}_delivery_latency_seconds", "[D]", "destination"),
        ),
        Panel(
            "From Jira to the destination",
            "Time from the creation of a live event at the source to its acceptance.",
            "s",
            quantiles(f"{C}_event_latency_seconds", "[D]", "destination"),
        ),
        Panel(
            "Newest accepted event",
            "Time from collection to acceptance of the newest accepted event; none where none was accepted in the last minute.",
            "s",
            ((f"max by ({BY}) ({C}_lag_seconds{{[D]}})", NAMED),),
        ),
        Panel(
            "Bytes",
            "Bytes of accepted bodies per second, before compression and on the wire.",
            "Bps",
            (
                (
                    rate(f"{C}_sent_raw_bytes_total", "[D]", "destination"),
                    "{{destination}} before compression",
                ),
                (rate(f"{C}_sent_wire_bytes_total", "[D]", "destination"), "{{destination}} on the wire"),
            ),
        ),
        Panel(
            "Not confirmed",
            "Events taken and not confirmed in time, within an hour; they are sent again.",
            "short",
            ((f"sum by ({BY}) (increase({C}_events_unconfirmed_total{{[D]}}[1h]))", NAMED),),
        ),
        Panel(
            "Dropped",
            "Events that the destination dropped without naming them, within an hour.",
            "short",
            ((f"sum by ({BY}) (increase({C}_events_dropped_total{{[D]}}[1h]))", NAMED),),
        ),
        Panel(
            "Problems of routes",
            "Age of the oldest problem of the place of one organization (by_organization).",
            "s",
            ((f"max by ({BY}) ({C}_route_problem_seconds{{[D]}})", NAMED),),
        ),
        Panel(
            "Defects",
            "Exceptions of the relay's own code within an hour.",
            "short",
            ((f"sum by ({BY}) (increase({C}_defects_total{{[D]}}[1h]))", NAMED),),
        ),
    ),
)
