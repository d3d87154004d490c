"""The Source contract as a suite: each function of CHECKS is a claim that holds for every source.

A source brings a SourceWorld: its simulator, and how to make records and faults in it. Questions that its API cannot
be asked are None or empty there, and the check says so by skipping.
"""

from tests.contracts.source import answers, connection, reading, requests
from tests.contracts.source.world import TABLE, OpenedWorld, setup

__all__ = ["CHECKS", "TABLE", "OpenedWorld", "setup"]

CHECKS = [
    reading.a_window_is_read_whole_once_and_oldest_first,
    reading.rows_that_move_while_they_are_read_are_neither_lost_nor_repeated,
    reading.records_that_are_deleted_while_they_are_read_hide_no_other,
    reading.results_ascend_without_a_gap,
    reading.an_empty_window_is_one_empty_result,
    reading.what_cannot_be_proven_is_named,
    reading.ids_are_stable_and_of_63_bits,
    reading.restoring_is_the_inverse_of_reading,
    reading.its_traits_are_true,
    answers.an_identity_is_bound_and_another_is_refused,
    answers.an_empty_answer_is_verified,
    answers.the_oldest_record_is_known_or_cannot_be_asked,
    answers.the_clock_is_learned_or_there_is_none,
    answers.a_window_ahead_of_the_apis_clock_is_covered_to_that_clock,
    connection.a_working_connection_passes,
    connection.each_fault_fails_the_test,
    connection.a_key_that_is_not_available_is_not_sent,
    connection.a_foreign_url_gets_no_key,
    connection.an_operators_input_follows_its_rules,
    requests.each_fault_has_a_kind_and_an_action,
    requests.a_fault_that_lasts_ends_the_read,
    requests.a_requested_wait_holds_back_every_request,
    requests.low_priority_requests_give_way,
    requests.a_cancellation_at_any_request_leaves_nothing_held,
    requests.a_read_that_is_closed_early_leaves_nothing_held,
    requests.a_source_is_kept_until_its_organization_changes,
]
