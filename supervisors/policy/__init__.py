"""The supervisor's decisions, pure: ``decide(state, event, now, dice) -> (state, actions)``.

Nothing in here waits, forks, reads a clock or rolls dice. The state is a frozen value, an event is
a fact that the supervisor saw (a child ended), an action is what it has to do next (start it). The
words and rules are those of Erlang's ``supervisor``, plus what processes need: a start takes time,
so a child is *starting* before it is *running*; a child may have a budget, and is quarantined when
it is used up.

Erlang's supervisor waits while it starts or stops a child; this one must go on hearing. So an
ordered sequence (start left to right, stop right to left, the restart of a group) is a ``Plan``:
its first step is under way, the rest waits for it. Whatever must not interfere with it is kept
and decided afterwards, in the order in which Erlang would have read it.
"""

from supervisors.policy.backoff import backoff_delay_secs
from supervisors.policy.decide import decide
from supervisors.policy.queries import (
    Counts,
    Presence,
    count_children,
    get_childspec,
    which_child,
    which_children,
)
from supervisors.policy.state import Child, Plan, State, initial_state

__all__ = [
    "Child",
    "Counts",
    "Plan",
    "Presence",
    "State",
    "backoff_delay_secs",
    "count_children",
    "decide",
    "get_childspec",
    "initial_state",
    "which_child",
    "which_children",
]
