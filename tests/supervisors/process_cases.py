"""What processes need beyond Erlang's cases: P1 to P30, and the tests that answer each."""

from __future__ import annotations

from typing import NamedTuple


class ProcessCase(NamedTuple):
    number: int
    text: str
    tests: tuple[str, ...]
    """File (within this folder, or from the project's root) and function."""


_LINES = """
P1 death by every way: signals, exit statuses, exception, no memory: decision and reason
    test_deaths.py::test_every_way_to_die_is_a_crash_with_its_reason
    test_supervisor.py::test_report_of_a_killed_worker_has_signal_and_next_start
    test_supervisor.py::test_native_crash_ends_the_process_with_its_stacks
    test_supervisor.py::test_exception_in_receive_ends_the_process_once_with_its_traceback
P2 SIGKILL of a supervisor: every descendant dead, the parent builds it again
    test_supervisor.py::test_killed_supervisor_takes_its_subtree_along_and_is_rebuilt
    test_spares.py::test_death_of_the_supervisor_ends_the_spare
P3 SIGKILL of the admin, the root, the heart: the whole tree dead, and built again
    test_heart.py::test_killed_admin_takes_all_along_and_the_system_is_rebuilt
    test_heart.py::test_killed_root_takes_all_along_and_the_system_is_rebuilt
    test_heart.py::test_killed_heart_takes_everything_along
    test_heart.py::test_heart_after_a_killed_one_starts_on_the_same_folder
P4 after a stop no process of the tree is left, also none in D, Z or T
    test_orphans.py::test_stopped_system_leaves_no_zombie
    test_heart.py::test_stopped_system_leaves_nothing
P5 grandchildren die too, also one with a session of its own
    test_orphans.py::test_escapee_with_its_own_session_is_found_and_ended
    test_orphans.py::test_grandchildren_end_with_whom_they_came_from
P6 kills in a row: no zombie, no descriptor more, no memory more
    test_deaths.py::test_many_kills_leave_no_descriptor_no_zombie_and_no_memory
P7 process ids are reused: kill and wait go through a pidfd
    test_process.py::test_state_and_description_of_a_stopped_process
    test_process.py::test_signal_to_an_ended_process_reaches_nobody
P8 SIGSTOP is found; the old process is dead before the new one acts, an old sender refused
    test_hung.py::test_stopped_worker_is_found_and_replaced
    test_hung.py::test_stopped_worker_is_dead_before_its_replacement_starts
    test_supervisor.py::test_stopped_supervisor_is_found_and_replaced
    test_heart.py::test_stopped_admin_or_root_is_found_and_the_system_rebuilt
    test_delivery.py::test_older_generation_of_a_sender_is_refused_and_told_to_end
P9 busy loop, deadlock, a coroutine that never yields or never goes on: as P8, with stacks
    test_hung.py::test_hung_brain_is_found_described_and_replaced
    test_hung.py::test_dump_of_a_hung_actor_names_what_each_of_its_tasks_waits_for
P10 a stop that is ignored ends in SIGKILL at its deadline; one that is obeyed cleans up
    test_supervisor.py::test_child_that_does_not_stop_in_time_is_killed
    test_supervisor.py::test_children_start_in_order_and_stop_in_reverse
P11 a child that never becomes ready is a failed start
    test_supervisor.py::test_child_that_never_gets_ready_fails_the_start
P12 the slow start of one child does not keep its supervisor from answering or stopping
    test_supervisor.py::test_supervisor_answers_while_a_child_starts_slowly
    test_policy.py::test_stop_during_the_start_stops_who_is_starting
P13 messages during a restart are kept, bounded and counted, and never silently lost
    test_delivery.py::test_messages_told_during_a_restart_wait_bounded_and_arrive_in_order
    test_delivery.py::test_nothing_acknowledged_is_lost_and_nothing_is_handled_twice_under_kills
P14 an ask fails when its peer dies, not at its deadline
    test_delivery.py::test_ask_fails_at_once_when_the_peer_is_killed
P15 the name outlives its processes; an old connection leads to nobody new
    test_delivery.py::test_name_outlives_its_processes_and_an_old_connection_says_that_its_peer_died
P16 death watch: told once, at once when dead already, and not of a restart
    test_names.py::test_each_watcher_is_told_once_when_a_child_is_stopped
    test_names.py::test_watching_the_dead_is_told_at_once
    test_names.py::test_restart_is_not_told_also_not_that_of_the_supervisor
P17 exactly as many crashes as the intensity are survived, at the edges of the window
    test_policy.py::test_exactly_as_many_restarts_as_the_intensity_are_allowed
    test_policy.py::test_edge_of_the_period_is_inclusive
    test_policy.py::test_crashes_are_counted_in_whole_seconds_as_erlang_does
P18 the wall clock jumps a day: no decision changes
    test_wall_clock.py::test_jump_of_the_wall_clock_changes_no_decision
P19 backoff: doubled, capped, with jitter, reset when quiet; a stop during it is immediate
    test_directives.py::test_delays_double_up_to_the_cap_with_jitter
    test_directives.py::test_running_for_the_quiet_time_makes_the_next_restart_immediate
    test_directives.py::test_child_in_backoff_shows_when_it_comes_back
    test_policy.py::test_stop_while_a_child_waits_to_be_restarted_is_immediate
P20 double faults: during a restart, during a stop, before the start was acknowledged
    test_deaths.py::test_sibling_that_dies_during_a_restart_is_restarted_as_well
    test_deaths.py::test_child_killed_while_it_is_stopped_is_started_once
    test_deaths.py::test_child_killed_before_it_was_ready_is_a_failed_start_and_tried_again
    test_spares.py::test_spare_and_child_killed_in_one_instant_are_both_replaced
P21 fifty killed in one instant: counts, order, one restart of a group
    test_deaths.py::test_children_killed_in_one_instant_are_counted_one_by_one
    test_deaths.py::test_group_killed_in_one_instant_is_restarted_once_and_in_order
P22 a fork that fails is a failed start and not a dead supervisor
    test_limits.py::test_kernel_that_refuses_processes_is_a_failed_start_and_not_a_dead_supervisor
    test_limits.py::test_fork_that_fails_is_a_failed_start_and_not_a_dead_supervisor
    test_limits.py::test_failed_forks_leak_no_descriptor
P23 no thread and no lock of others is there when a process forks
    test_inheritance.py::test_whoever_forks_has_one_thread
    test_inheritance.py::test_heart_refuses_to_fork_beside_another_thread
P24 a child inherits no listening socket, no lock and no open file
    test_inheritance.py::test_child_listens_on_nothing_but_its_own_two_sockets
    test_inheritance.py::test_child_holds_no_file_of_its_supervisor_or_siblings
P25 state is handed over: no order twice, no fill lost (shown by the whole of Krator)
    tests/system/test_kill.py::test_nothing_is_lost_or_doubled_whatever_is_killed
P26 the log process dies, or the disk is full: supervision goes on
    test_heart.py::test_killed_logger_is_replaced_and_the_admin_lives
    test_full_disk.py::test_children_are_restarted_though_no_report_can_be_written
    test_full_disk.py::test_hung_child_is_replaced_though_its_stacks_cannot_be_written
    test_full_disk.py::test_child_without_a_generation_is_not_started_until_there_is_room
P27 the report of each error context, as one line of JSON
    test_report_contexts.py::test_every_context_is_reported_with_supervisor_reason_and_offender
    test_report_contexts.py::test_every_report_is_one_line_that_can_be_read_back
    test_looking.py::test_report_of_a_death_names_the_offender_as_sasl_does
P28 escalation over three levels: counts multiply
    test_deaths.py::test_restarts_multiply_over_three_levels_of_supervisors
P29 the same decisions as a live OTP on recorded runs
    test_otp_runs.py::test_every_recorded_run_replays_without_a_difference
    test_otp_runs_on_processes.py::test_recorded_runs_replay_on_real_processes
P30 soak: random kills and stops under load, judged by an outside checker
    test_soak.py::test_no_promise_is_broken_whatever_is_killed_or_stopped
"""


def _parsed() -> tuple[ProcessCase, ...]:
    cases: list[ProcessCase] = []
    for line in _LINES.strip().splitlines():
        if line.startswith("P"):
            number, _, text = line.partition(" ")
            cases.append(ProcessCase(int(number[1:]), text, ()))
        else:
            last = cases.pop()
            cases.append(last._replace(tests=(*last.tests, line.strip())))
    return tuple(cases)


PROCESS_CASES = _parsed()
"""In the order and with the numbers of the reference."""
