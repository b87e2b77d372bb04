"""Risk's side of the handshake with the order actor."""

from __future__ import annotations

import pytest

from krator_actors.core.handshake import Answer, Handshake, Order
from krator_actors.messages.handshake import OrdersSynced, SyncOrders


def synced(number: int, sync_id: int = 1, generation: int = 3) -> OrdersSynced:
    return OrdersSynced(
        venue="SIM", risk_generation=generation, number=number, open_orders=(), sync_id=sync_id
    )


def handshake(watermark: int = 5) -> Handshake:
    return Handshake(generation=3, watermark=watermark)


def test_request_says_what_is_known() -> None:
    shake = handshake()

    requests = [shake.request(approval=9), shake.request(approval=9)]

    assert requests == [
        SyncOrders(risk_generation=3, watermark=5, sync_id=1),
        SyncOrders(risk_generation=3, watermark=5, sync_id=2),
    ]
    assert shake.is_pending


@pytest.mark.parametrize(
    ("number", "placed", "watermark"),
    [(4, Order.KNOWN, 5), (5, Order.KNOWN, 5), (6, Order.NEXT, 6), (7, Order.GAP, 5)],
)
def test_event_is_placed_by_its_number(number: int, placed: Order, watermark: int) -> None:
    shake = handshake()

    assert shake.place(number) is placed
    assert shake.watermark == watermark


def test_answer_read_up_to_its_number_recovers() -> None:
    shake = handshake()
    shake.request(approval=9)

    answer = shake.answer(synced(5))

    assert answer is Answer.SYNCED
    assert shake.is_recovered
    assert shake.settled_approval == 9
    assert not shake.is_pending


@pytest.mark.parametrize(
    ("answer", "worth"),
    [
        (synced(5, generation=2), Answer.FOREIGN),
        (synced(5, sync_id=7), Answer.FOREIGN),
        (synced(6), Answer.GAP),
        (synced(4), Answer.LOG_SHRANK),
    ],
)
def test_other_answers_do_not_recover(answer: OrdersSynced, worth: Answer) -> None:
    shake = handshake()
    shake.request(approval=9)

    assert shake.answer(answer) is worth
    assert not shake.is_recovered
    assert shake.settled_approval == 0


def test_answer_settles_only_what_its_own_request_came_after() -> None:
    shake = handshake()
    shake.request(approval=9)
    shake.request(approval=12)

    shake.answer(synced(5, sync_id=1))
    first = shake.settled_approval, shake.is_pending
    shake.answer(synced(5, sync_id=2))

    assert first == (9, True)
    assert (shake.settled_approval, shake.is_pending) == (12, False)


def test_answer_to_the_latest_request_settles_the_earlier_ones() -> None:
    shake = handshake()
    shake.request(approval=9)
    shake.request(approval=12)

    shake.answer(synced(5, sync_id=2))

    assert shake.answer(synced(5, sync_id=1)) is Answer.FOREIGN
    assert shake.settled_approval == 12


def test_answer_that_does_not_say_which_is_one_to_the_oldest_request() -> None:
    shake = handshake()
    unasked = shake.answer(synced(5, sync_id=0))
    shake.request(approval=9)
    shake.request(approval=12)

    answer = shake.answer(synced(5, sync_id=0))

    assert (unasked, answer) == (Answer.FOREIGN, Answer.SYNCED)
    assert shake.settled_approval == 9


def test_live_event_after_the_request_does_not_make_its_answer_a_shorter_log() -> None:
    shake = handshake()
    shake.request(approval=9)
    shake.place(6)

    assert shake.answer(synced(5)) is Answer.SYNCED
