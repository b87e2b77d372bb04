"""Timers over a clock and wake-ups of the test's own."""

from __future__ import annotations

from supervisors.timers import Timers


class Clockwork:
    def __init__(self) -> None:
        self.now = 10.0
        self.wakes: list[float] = []
        self.called: list[str] = []
        self.timers = Timers(lambda: self.now, lambda secs: self.wakes.append(self.now + secs))

    def after(self, delay_secs: float, name: str) -> None:
        self.timers.call_after(delay_secs, lambda: self.called.append(name))

    def go_on(self, secs: float) -> None:
        self.now += secs
        self.timers.fire()


def test_functions_are_called_in_the_order_of_their_time() -> None:
    works = Clockwork()
    works.after(3.0, "late")
    works.after(1.0, "early")
    works.after(1.0, "early too")

    works.go_on(5.0)

    assert works.called == ["early", "early too", "late"]


def test_only_the_earliest_time_asks_for_a_wake_up() -> None:
    works = Clockwork()

    works.after(3.0, "a")
    works.after(4.0, "b")
    works.after(1.0, "c")

    assert works.wakes == [13.0, 11.0]


def test_wake_up_that_comes_a_little_early_is_asked_for_again() -> None:
    works = Clockwork()
    works.after(1.0, "a")

    works.go_on(0.999)
    assert works.called == []
    assert works.wakes[-1] == 11.0
    assert len(works.wakes) == 2

    works.go_on(0.001)
    assert works.called == ["a"]


def test_extra_wake_up_changes_nothing() -> None:
    works = Clockwork()
    works.after(1.0, "a")

    works.go_on(0.2)

    assert works.called == []
    assert works.wakes == [11.0]


def test_timer_set_by_a_timer_waits_for_the_next_turn() -> None:
    works = Clockwork()
    works.timers.call_after(1.0, lambda: works.after(0.0, "inner"))

    works.go_on(1.0)
    assert works.called == []

    works.go_on(0.0)
    assert works.called == ["inner"]
