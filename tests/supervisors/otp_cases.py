"""The cases of OTP's own supervisor suite (2025), and which of them we answer.

The marks: Y carries over as it is, A with an adaptation, O needs live changes of a supervisor's own
flags (optional), N concerns Erlang alone.
"""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    number: int
    group: str
    name: str
    mark: str


_GROUPS = {
    "sup_start": """
        Y sup_start_normal
        Y sup_start_ignore_init
        Y sup_start_ignore_child
        Y sup_start_ignore_temporary_child
        Y sup_start_ignore_temporary_child_start_child
        Y sup_start_ignore_temporary_child_start_child_simple
        Y sup_start_ignore_permanent_child_start_child_simple
        Y sup_start_error_return
        Y sup_start_fail
        Y sup_start_child_returns_error
        Y sup_start_restart_child_returns_error
        Y sup_start_child_returns_error_simple
    """,
    "sup_start_map": """
        Y sup_start_map
        Y sup_start_map_simple
        Y sup_start_map_faulty_specs
    """,
    "sup_stop": """
        Y sup_stop_infinity
        Y sup_stop_timeout
        Y sup_stop_timeout_dynamic
        Y sup_stop_brutal_kill
        Y sup_stop_brutal_kill_dynamic
        Y sup_stop_race
        Y sup_stop_non_shutdown_exit_dynamic
    """,
    "administration": """
        A extra_return
        Y child_adm
        Y child_adm_simple
        N child_specs
        Y child_specs_map
        Y sup_flags
        Y multiple_restarts
    """,
    "restart_one_for_one": """
        Y one_for_one
        Y one_for_one_escalation
    """,
    "restart_one_for_all": """
        Y one_for_all
        Y one_for_all_escalation
        Y one_for_all_other_child_fails_restart
    """,
    "restart_simple_one_for_one": """
        Y simple_one_for_one
        Y simple_one_for_one_shutdown
        A simple_one_for_one_extra
        Y simple_one_for_one_escalation
        A simple_one_for_one_corruption
        Y simple_one_for_one_restart_ignore
    """,
    "restart_rest_for_one": """
        Y rest_for_one
        Y rest_for_one_escalation
        Y rest_for_one_other_child_fails_restart
    """,
    "normal_termination": """
        N external_start_no_progress_log
        Y permanent_normal
        Y transient_normal
        Y temporary_normal
    """,
    "shutdown_termination": """
        Y permanent_shutdown
        Y transient_shutdown
        Y temporary_shutdown
        A faulty_application_shutdown
    """,
    "abnormal_termination": """
        Y permanent_abnormal
        Y transient_abnormal
        Y temporary_abnormal
    """,
    "hierarchy": """
        A child_unlink
        Y tree
    """,
    "significant": """
        Y nonsignificant_temporary
        Y nonsignificant_transient
        Y significant_temporary
        Y significant_transient
        Y significant_simple
        Y significant_bystander
        Y significant_escalation
        O significant_upgrade_never_any
        O significant_upgrade_any_never
        O significant_upgrade_never_all
        O significant_upgrade_all_never
        O significant_upgrade_any_all
        O significant_upgrade_all_any
        O significant_upgrade_child
    """,
    "misc": """
        Y count_children
        Y count_children_supervisor
        Y count_restarting_children
        N get_callback_module
        A do_not_save_start_parameters_for_temporary_children
        Y do_not_save_child_specs_for_temporary_children
        A simple_one_for_one_scale_many_temporary_children
        Y temporary_bystander
        A simple_global_supervisor
        Y hanging_restart_loop
        Y hanging_restart_loop_rest_for_one
        Y hanging_restart_loop_simple
        O code_change
        O code_change_map
        O code_change_simple
        O code_change_simple_map
        Y order_of_children
        A scale_start_stop_many_children
        N format_log_1
        A format_log_2
        A already_started_outside_supervisor
        Y which_children
        Y which_children_simple_one_for_one
    """,
}

_NAMED = [
    (group, *line.split())
    for group, lines in _GROUPS.items()
    for line in lines.split("\n")
    if line.strip()
]
CASES = tuple(
    Case(number, group, name, mark) for number, (group, mark, name) in enumerate(_NAMED, start=1)
)
"""In the order and with the numbers of the reference."""

ANSWERED = tuple(case for case in CASES if case.mark in {"Y", "A"})
