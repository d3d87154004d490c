"""The meaning and the first command of each state and error; tests hold the keys equal to the code."""

CHECK, SHOW, TEST = (
    "`jira-relay check`",
    "`jira-relay organizations show NAME`",
    "`jira-relay organizations test NAME`",
)
DEAD_LETTERS, LOG = "`jira-relay dead-letters list`", "the log of the process"

Explanations = dict[str, tuple[str, str]]
"""Meaning and first command."""

ORGANIZATION_STATES: Explanations = {
    "active": (
        "The source answers. A reason, if there is one, names a wrong clock, ids that the source assigned twice, a re-read or backfill that fails, or a range of time that the source fails to serve.",
        "none",
    ),
    "waiting": ("The source asked the relay to come back later; polling resumes by itself.", SHOW),
    "failing": ("The source gives no records; the reason names the error below. No record is lost.", TEST),
    "paused": ("An operator paused it. Its place is kept.", "`jira-relay organizations resume NAME`"),
    "no owner": (
        "No producer polls it: none runs, or none is ready.",
        "`curl http://127.0.0.1:9464/readyz` on each producer",
    ),
}
PRODUCER_STATES: Explanations = {
    "starting": ("The process joins the consumer group.", LOG),
    "opening shards": ("The process loads the state of its shards, or cannot.", LOG),
    "active": ("All shards of the process are open.", "none"),
}
DESTINATION_STATES: Explanations = {
    "active": ("The destination accepts events. A reason names a loss, a drop or a corrupt batch.", "none"),
    "waiting": ("The destination throttles or is away; sending resumes by itself.", CHECK),
    "paused": ("An operator must act; the reason names the remedy. No event is lost.", CHECK),
    "starting": (
        "The process joins the consumer group, or looks up where to begin, or no member of the group reads a partition; the reason says which.",
        LOG,
    ),
}
CONSUMER_STATES: Explanations = {"active": ("The process runs; its reason names its destinations.", "none")}
SOURCE_ERRORS: Explanations = {
    "rate-limited": ("The source's rate limit is reached.", SHOW),
    "unavailable": ("The source has a fault.", SHOW),
    "unreachable": ("The connection to the source fails.", "`curl --head https://HOST`"),
    "broken-answer": ("Something else answers in the source's place.", "`curl --head https://HOST`"),
    "too-large": ("A page is larger than the relay accepts, or an event larger than Kafka accepts.", SHOW),
    "host-unknown": ("DNS has no such host.", "`getent hosts HOST`"),
    "tls": ("The certificate of the host is not trusted.", "`openssl s_client -connect HOST:443`"),
    "redirected": ("The site moved, or a proxy redirects.", "`curl --head https://HOST`"),
    "not-the-api": ("The URL is wrong, or the site is gone.", "`curl --head https://HOST`"),
    "key-refused": ("The API key or its user is wrong.", TEST),
    "scope-missing": ("The API key has too few scopes.", TEST),
    "key-type": ("The credential is not an API token.", TEST),
    "anonymous": ("Jira ignored the API key.", TEST),
    "captcha": ("Too many logins of this user failed.", TEST),
    "not-administrator": ("The user lacks a right.", TEST),
    "free-plan": ("The plan of the site has no audit log.", TEST),
    "forbidden": ("A rule between relay and source forbids access.", TEST),
    "bad-request": ("The source's API changed.", "`jira-relay --version`"),
    "unexpected": ("The source answered with an unknown status.", TEST),
    "no-key": ("The reference or the encryption of the API key does not work.", CHECK),
    "other-site": ("The URL now belongs to another site.", SHOW),
    "outside-window": ("The source or a proxy shifts the times of requests or records.", TEST),
    "defect": ("The relay has a bug; this organization is tried again, the others go on.", LOG),
}
ANSWERS: Explanations = {
    "Sent": ("The rows were accepted.", "none"),
    "Partial": ("Some rows were accepted; the others go on alone.", DEAD_LETTERS),
    "Dropped": ("All rows but some unnamed ones were accepted; all are dead letters.", DEAD_LETTERS),
    "Unconfirmed": ("The rows were taken; the destination says later whether it stored them.", "none"),
    "Retry": ("The fault is temporary; the same rows are sent again.", CHECK),
    "Split": ("The body is too large; fewer rows are sent.", "none"),
    "Reject": ("A row or the configuration is wrong; the relay finds out which.", DEAD_LETTERS),
    "Paused": ("An operator must fix something.", CHECK),
}
DESTINATION_PROBLEMS: Explanations = {
    "config_fault_text": ("Every row is rejected, so the configuration is suspected.", CHECK),
    "_dead_letter_failure_text": ("The dead-letter topic accepts nothing.", "`jira-relay topics check`"),
    "open_rejections_text": ("Some rows are rejected, and no other row is accepted since.", LOG),
    "defect_text": ("An exception of the relay's own code; the same events are tried again.", LOG),
    "dropped_text": ("The destination accepted a body but for events that it does not name.", DEAD_LETTERS),
    "filter_fault_text": ("A condition of `where` fails on the values of an event.", LOG),
    "loss_text": (
        "Kafka's retention deleted events before they were delivered; the reason names the command that brings them back.",
        "`jira-relay destinations lost NAME`",
    ),
    "_corrupt_batch_text": (
        "A batch is corrupt on a broker's disk, or another client wrote a record that nobody can parse.",
        "`kafka-topics.sh --bootstrap-server HOST:PORT --describe --topic TOPIC`",
    ),
    "_another_target_text": (
        "Two settings use one name for different targets, or the target was changed.",
        "`jira-relay destinations confirm NAME`",
    ),
    "_paused_text": (
        "An operator paused the destination.",
        "`jira-relay destinations resume NAME`",
    ),
    "_pause_unknown_text": (
        "The record of the pause is of another release or damaged, so a pause may not be followed.",
        "`jira-relay destinations pause NAME`",
    ),
    "_unknown_text": (
        "The topic of destinations is missing, hidden or unreadable, so a second target under the name would not be noticed.",
        "`jira-relay topics create`",
    ),
    "_doubt_text": (
        "No known version of the schema fits: the registry lost it or gave its id to another, or a newer release wrote the events.",
        "`jira-relay schemas check`",
    ),
    "moved_text": ("Kafka holds the same events at other offsets, as after a fail-over to a mirror.", "none"),
    "reread_text": (
        "Kafka lost the end of a partition, or a mirror had not received it; events are repeated, and none is left out.",
        "`kafka-topics.sh --bootstrap-server HOST:PORT --describe --topic TOPIC`",
    ),
    "unproven_text": (
        "A backup of an offset has no event that proves it; events are repeated, and none is left out.",
        "none",
    ),
    "split_offset_unknown_text": (
        "Kafka was replaced, as by a mirror, before all older events were delivered to history.",
        "none",
    ),
    "not_sent_text": ("The destination has no target for history at its first start.", "none"),
}
KAFKA_ERRORS: Explanations = {
    "diagnose_closed": ("The name of the broker has no address.", "`getent hosts HOST`"),
    "_unreachable": ("The broker does not run, or the network is down.", CHECK),
    "_no_answer": ("The broker hangs, or a firewall drops packets.", CHECK),
    "_protocol_mismatch": ("The port speaks another protocol.", "`openssl s_client -connect HOST:PORT`"),
    "_untrusted_certificate": (
        "The certificate of the broker is not accepted.",
        "`openssl s_client -connect HOST:PORT`",
    ),
    "_tls_alert": ("The broker does not accept the TLS of the relay.", CHECK),
    "login_not_expected": ("The listener has no login.", CHECK),
    "mechanism_not_offered": ("The listener has another login.", CHECK),
    "login_rejected": ("User, password or token is wrong.", CHECK),
    "unexpected_login_answer": ("The broker does not prove that it knows the password.", CHECK),
    "closed_after_connect": ("The listener requires a login, or the broker has a fault.", CHECK),
    "wrong_advertised_listener": ("The broker advertises an address that does not work here.", CHECK),
    "unsupported_version": (
        "The broker is too old.",
        "`kafka-broker-api-versions.sh --bootstrap-server HOST:PORT`",
    ),
    "no_broker_named": (
        "The broker is starting, or no broker of the cluster sends heartbeats to a controller.",
        CHECK,
    ),
    "timed_out": ("The broker is overloaded.", CHECK),
}
