"""The panels of the dashboard of organizations."""

from panels import D, Dashboard, P, Panel, age, quantiles, rate

ORGANIZATIONS = Dashboard(
    "Organizations",
    ("organization",),
    (
        Panel(
            "States",
            "Organizations in each state.",
            "short",
            ((f"sum by (state) ({P}_organization_state{{[O]}})", "{{state}}"),),
            "stat",
            12,
        ),
        Panel(
            "Failing now",
            "Organizations that fail or wait, by the kind of their last error; the runbook has a line for each kind.",
            "short",
            ((f"count by (kind) ({P}_failing_since_timestamp_seconds{{[O]}})", "{{kind}}"),),
            "stat",
            12,
        ),
        Panel(
            "Failing since",
            "Time for which an organization has failed or waited, the ten longest.",
            "s",
            (
                (
                    f"topk(10, time() - max by (job, organization, kind) ({P}_failing_since_timestamp_seconds{{[O]}}))",
                    "{{organization}} {{kind}}",
                ),
            ),
        ),
        Panel(
            "Since the last round",
            "Time since the last complete round, the ten longest; paused organizations are left out.",
            "s",
            ((f"topk(10, {age('last_poll')})", "{{organization}}"),),
        ),
        Panel(
            "Missed intervals",
            "Time since the last complete round, in intervals; the alert begins above 3.",
            "short",
            (
                (
                    f"topk(10, ({age('last_poll')}) / on (job, organization) max by (job, organization) ({P}_organization_interval_seconds{{[O]}}))",
                    "{{organization}}",
                ),
            ),
        ),
        Panel(
            "Complete up to",
            "Age of the instant up to which everything is in Kafka, the ten oldest.",
            "s",
            ((f"topk(10, {age('complete_up_to')})", "{{organization}}"),),
        ),
        Panel(
            "Silence",
            "Time since the newest event was created, the ten longest.",
            "s",
            ((f"topk(10, {age('last_event')})", "{{organization}}"),),
        ),
        Panel(
            "Silence by state",
            "Organizations by their present silence: usual, unlikely, or not judged before two weeks are learned.",
            "short",
            ((f"sum by (state) ({P}_silence_state{{[O]}})", "{{state}}"),),
        ),
        Panel(
            "Chance of the silence",
            "How likely it is that a feed that works is silent for so long, the ten least likely; the alert begins below 0.1 %.",
            "percentunit",
            (
                (
                    f"bottomk(10, max by (job, organization) ({P}_silence_probability_ratio{{[O]}}))",
                    "{{organization}}",
                ),
            ),
        ),
        Panel(
            "Days that are not complete",
            "Organizations of which a hop has other events on one of the last 30 days, or could not be counted.",
            "short",
            (
                (
                    f'max by (organization, state) ({D}_organization_state{{[O], state!="complete"}}) > 0',
                    "{{organization}} {{state}}",
                ),
            ),
        ),
        Panel(
            "Overdue seals",
            "For how long the oldest day without a seal could have had one, the ten longest.",
            "s",
            ((f"topk(10, max by (organization) ({D}_seal_overdue_seconds{{[O]}}) > 0)", "{{organization}}"),),
        ),
        Panel(
            "Events",
            "Events published per second, the ten busiest organizations.",
            "ops",
            (
                (
                    f"topk(10, {rate(f'{P}_events_published_total', '[O]', 'organization')})",
                    "{{organization}}",
                ),
            ),
        ),
        Panel(
            "Events by mode",
            "Live ones arrive in time, late ones after the overlap, backfill is history, and refill serves replays.",
            "ops",
            ((rate(f"{P}_events_published_total", "[O]", "mode"), "{{mode}}"),),
        ),
        Panel(
            "Rounds",
            "Rounds that ended per second, by outcome.",
            "ops",
            ((rate(f"{P}_rounds_total", "[O]", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Errors",
            "Failed requests per second, by kind.",
            "ops",
            ((rate(f"{P}_source_errors_total", "[O]", "kind"), "{{kind}}"),),
        ),
        Panel(
            "Back-off",
            "Part of the time that organizations wait after failed requests, the ten highest.",
            "percentunit",
            (
                (
                    f"topk(10, {rate(f'{P}_source_backoff_seconds_total', '[O]', 'organization')})",
                    "{{organization}}",
                ),
            ),
        ),
        Panel(
            "Requests to sources",
            "Duration of a request, without the wait for its turn.",
            "s",
            quantiles(f"{P}_request_duration_seconds", "[J]", "result"),
        ),
        Panel(
            "Late records",
            "Time from the creation of a late record to its transaction.",
            "s",
            quantiles(f"{P}_late_arrival_seconds", "[J]"),
        ),
        Panel(
            "Keys that expire",
            "Time until API keys expire, by the dates that operators entered, the ten nearest.",
            "s",
            (
                (
                    f"bottomk(10, max by (job, organization) ({P}_credential_expiry_timestamp_seconds{{[O]}}) - time())",
                    "{{organization}}",
                ),
            ),
        ),
        Panel(
            "Unread time",
            "Length of the time whose records the source fails to serve.",
            "s",
            ((f"max by (organization) ({P}_unread_seconds{{[O]}}) > 0", "{{organization}}"),),
        ),
        Panel(
            "Unreadable records",
            "Records of the source that became dead letters within an hour.",
            "short",
            (
                (
                    f"sum by (organization) (increase({P}_records_dead_lettered_total{{[O]}}[1h])) > 0",
                    "{{organization}}",
                ),
            ),
        ),
        Panel(
            "Reused ids",
            "Events of the last hour whose id another published record has, as after a restore of the site.",
            "short",
            ((f"sum by (organization) (increase({P}_ids_reused_total{{[O]}}[1h])) > 0", "{{organization}}"),),
        ),
        Panel(
            "Age of organizations",
            "Time since an organization was added, the ten newest.",
            "s",
            (
                (
                    f"bottomk(10, time() - max by (job, organization) ({P}_organization_added_timestamp_seconds{{[O]}}))",
                    "{{organization}}",
                ),
            ),
        ),
    ),
)
