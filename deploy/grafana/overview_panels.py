"""The panels of the overview."""

from panels import C, D, Dashboard, P, Panel, age, quantiles, rate

OVERVIEW = Dashboard(
    "Overview",
    (),
    (
        Panel(
            "Organizations",
            "Organizations in each state. Failing and waiting ones have a reason in `jira-relay organizations list`.",
            "short",
            ((f"sum by (state) ({P}_organization_state{{[J]}})", "{{state}}"),),
            "stat",
            12,
        ),
        Panel(
            "Destinations",
            "Flows of destinations in each state. A paused one waits for an operator.",
            "short",
            ((f"sum by (state) ({C}_destination_state{{[J]}})", "{{state}}"),),
            "stat",
            12,
        ),
        Panel(
            "Shards",
            "Shards in each state, and all that there are. Closed and missing ones are not polled.",
            "short",
            (
                (f"sum by (state) ({P}_shards_by_state{{[J]}})", "{{state}}"),
                (f"sum(max by (namespace, job) ({P}_configured_shards{{[J]}}))", "all"),
            ),
            "stat",
            12,
        ),
        Panel(
            "Processes",
            "Producers and consumers whose membership Kafka confirms, and scrapes that fail.",
            "short",
            (
                (f'sum({P}_membership_state{{[J], state="confirmed"}})', "producers"),
                (
                    f'count(max by (instance) ({C}_membership_state{{[J], state="confirmed"}}) == 1)',
                    "consumers",
                ),
                ("sum(up{[J]} == bool 0)", "not scraped"),
            ),
            "stat",
            12,
        ),
        Panel(
            "Events published",
            "Events committed to Kafka per second, by mode.",
            "ops",
            ((rate(f"{P}_events_published_total", "[J]", "mode"), "{{mode}}"),),
        ),
        Panel(
            "Events accepted",
            "Events that the destinations accepted per second.",
            "ops",
            ((rate(f"{C}_events_accepted_total", "[J]", "destination, flow"), "{{destination}} {{flow}}"),),
        ),
        Panel(
            "From Jira to Kafka",
            "Time from the creation of a live record at the source to its transaction.",
            "s",
            quantiles(f"{P}_publish_latency_seconds", "[J]"),
        ),
        Panel(
            "From Jira to the destination",
            "Time from the creation of a live event at the source to its acceptance.",
            "s",
            quantiles(f"{C}_event_latency_seconds", "[J]", "destination"),
        ),
        Panel(
            "Events that wait",
            "Offsets of live topics that the destinations have not accepted; transactions have offsets too.",
            "short",
            ((f'max by (destination) ({C}_lag_events{{[J], flow="live"}})', "{{destination}}"),),
        ),
        Panel(
            "Dead letters",
            "Records written to the dead-letter topic within an hour, by producers and for destinations.",
            "short",
            (
                (f"sum(increase({P}_records_dead_lettered_total{{[J]}}[1h]))", "of the source"),
                (
                    f"sum by (destination) (increase({C}_events_dead_lettered_total{{[J]}}[1h]))",
                    "{{destination}}",
                ),
            ),
        ),
        Panel(
            "Completeness",
            "Age of the instant up to which everything is in Kafka, of the organization that is furthest behind.",
            "s",
            ((f"max({age('complete_up_to').replace('[O]', '[J]')})", "furthest behind"),),
        ),
        Panel(
            "Days of organizations",
            "Organizations by the state of their last 30 days, as the watch over days counted them.",
            "short",
            ((f"sum by (state) ({D}_organization_state{{[J]}})", "{{state}}"),),
        ),
        Panel(
            "Since the last round over days",
            "Time since the watch over days last reached every organization, and how long a round takes.",
            "s",
            (
                (
                    f"time() - max by (job) ({D}_last_round_timestamp_seconds{{[J]}} > 0)",
                    "since the last round",
                ),
                (f"max by (job) ({D}_round_seconds{{[J]}})", "duration of a round"),
            ),
        ),
        Panel(
            "Rounds over days",
            "How the last round ended, and the seals signed per second.",
            "short",
            (
                (f"max by (state) ({D}_round_state{{[J]}})", "{{state}}"),
                (rate(f"{D}_seals_total", "[J]", "job"), "seals"),
            ),
        ),
        Panel(
            "Spans",
            "Spans of traces that the collector took, and those that were dropped, per second; events are not affected.",
            "ops",
            (
                (rate("jira_relay_telemetry_exported_spans_total", "[J]", "job"), "exported"),
                (rate("jira_relay_telemetry_dropped_spans_total", "[J]", "reason"), "dropped: {{reason}}"),
            ),
        ),
        Panel(
            "Memory",
            "Resident memory of each process.",
            "bytes",
            (("process_resident_memory_bytes{[J]}", "{{instance}}"),),
        ),
        Panel(
            "CPU",
            "Cores that each process uses.",
            "short",
            (("rate(process_cpu_seconds_total{[J]}[$__rate_interval])", "{{instance}}"),),
        ),
        Panel(
            "Open files",
            "Open files and connections of each process.",
            "short",
            (("process_open_fds{[J]}", "{{instance}}"),),
        ),
        Panel(
            "Versions",
            "Processes by version; two versions are normal during an upgrade alone.",
            "short",
            (("count by (version) (jira_relay_build_info{[J]})", "{{version}}"),),
        ),
        Panel(
            "Certificates that expire",
            "Time until the certificates of settings expire, the nearest ones.",
            "s",
            (
                (
                    "bottomk(10, min by (setting) (jira_relay_certificate_expiry_timestamp_seconds{[J]}) - time())",
                    "{{setting}}",
                ),
            ),
        ),
        Panel(
            "Time since the start",
            "Time that each process has run.",
            "s",
            (("time() - process_start_time_seconds{[J]}", "{{instance}}"),),
        ),
    ),
)
