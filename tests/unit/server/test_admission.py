from contextlib import ExitStack

import pytest

from kuaimei.errors import QueueFull
from kuaimei.server.admission import Admission


def test_places_come_free_again() -> None:
    told: list[tuple[int, int]] = []
    admission = Admission(1, 0, lambda count, waiting: told.append((count, waiting)))
    with admission.enqueue() as first:
        assert first.admitted
        with pytest.raises(QueueFull, match="all 1 sessions"), admission.enqueue():
            pass
        assert admission.count == 1
    with pytest.raises(KeyError), admission.enqueue():
        raise KeyError
    assert admission.count == 0
    assert told == [(1, 0), (0, 0), (1, 0), (0, 0)]


def test_the_queue_is_served_in_order() -> None:
    admission = Admission(1, 3)
    inside, *queue = (admission.enqueue() for _ in range(4))
    inside.__enter__()
    places = [one.__enter__() for one in queue]
    assert [place.number for place in places] == [1, 2, 3]
    assert admission.waiting == 3
    with pytest.raises(QueueFull), admission.enqueue():
        pass
    queue[1].__exit__(None, None, None)  # gives up
    assert [place.number for place in places] == [1, 2, 2]
    inside.__exit__(None, None, None)
    assert [place.number for place in places] == [0, 2, 1]
    assert (admission.count, admission.waiting) == (1, 1)
    queue[0].__exit__(None, None, None)
    queue[2].__exit__(None, None, None)
    assert (admission.count, admission.waiting) == (0, 0)


def test_who_takes_over_is_the_first_in_a_full_queue() -> None:
    admission = Admission(1, 1)
    inside, other, heir = admission.enqueue(), admission.enqueue(), admission.enqueue(first=True)
    inside.__enter__()
    waits, takes = other.__enter__(), heir.__enter__()
    assert (takes.number, waits.number) == (1, 2)
    inside.__exit__(None, None, None)
    assert (takes.number, waits.number) == (0, 1)
    heir.__exit__(None, None, None)
    other.__exit__(None, None, None)


async def test_a_place_tells_of_its_moves() -> None:
    admission = Admission(1, 2)
    inside = admission.enqueue()
    inside.__enter__()
    with admission.enqueue() as place:
        inside.__exit__(None, None, None)
        await place.wait_moved()
        assert place.admitted


def test_a_session_has_one_holder() -> None:
    admission = Admission(5)
    assert admission.lease_owner("a") is None
    with admission.claim("a") as claim, admission.claim("b") as other:
        assert admission.lease_owner("a") is claim
        assert admission.lease_owner("b") is other
    assert claim.over.is_set()
    assert admission.lease_owner("a") is None


def test_those_who_take_over_do_not_make_the_queue_longer_without_end() -> None:
    admission = Admission(capacity=2, waiting=1)
    with ExitStack() as places:
        for _ in range(2):
            places.enter_context(admission.enqueue())
        for _ in range(3):
            places.enter_context(admission.enqueue(first=True))
        with pytest.raises(QueueFull):
            places.enter_context(admission.enqueue(first=True))
        assert admission.waiting == 3
