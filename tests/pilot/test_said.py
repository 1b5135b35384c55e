"""What a task has said waits in order, within bounds, until the service has heard it."""

from hypothesis import given
from hypothesis import strategies as some

from iceprod_tasks.client import Note
from iceprod_tasks.pilot import said
from iceprod_tasks.pilot.said import CHARACTERS_A_PORTION, MESSAGES_A_PORTION, MOST_MESSAGES, Portion, Said
from iceprod_tasks.pilot.spool import MOST_STEPS, NAME_CHARACTERS, TEXT_CHARACTERS, Progress


def note(number: int, *, silent: bool = False, text: str = '') -> Note:
    return {'message_id': f'{number:032x}', 'mtype': 'silent' if silent else 'notification', 'text': text}


def numbers(waiting: Said) -> list[int]:
    """Those of all messages that wait, which are gone then."""
    found = []
    while portion := waiting.portion().messages:
        found.extend(int(each['message_id'], 16) for each in portion)
        waiting.settle(Portion(portion))
    return found


def test_of_too_many_messages_the_oldest_silent_ones_go_first() -> None:
    waiting = Said(1)

    for number in range(MOST_MESSAGES + 3):
        waiting.add(note(number, silent=number in (500, 700)))

    assert numbers(waiting) == [n for n in range(1, MOST_MESSAGES + 3) if n not in (500, 700)]
    assert waiting.left_out == 3


def test_long_messages_are_bounded_by_their_length() -> None:
    waiting = Said(1)

    for number in range(MOST_MESSAGES):
        waiting.add(note(number, text='x' * 16_384))

    found = numbers(waiting)
    assert found == list(range(MOST_MESSAGES - len(found), MOST_MESSAGES))
    assert (len(found) + 1) * 16_384 > said.MOST_CHARACTERS - 20_000
    assert len(found) * 16_384 <= said.MOST_CHARACTERS


def test_the_longest_message_fits_a_portion() -> None:
    assert 2 * TEXT_CHARACTERS + NAME_CHARACTERS + 100 < CHARACTERS_A_PORTION


def test_a_message_that_has_become_too_old_on_its_way_is_settled_once() -> None:
    waiting = Said(1)
    waiting.add(note(0))
    portion = waiting.portion()
    for number in range(1, MOST_MESSAGES + 1):
        waiting.add(note(number))

    waiting.settle(portion)

    assert numbers(waiting) == list(range(1, MOST_MESSAGES + 1))


def test_steps_that_were_said_while_others_were_on_their_way_are_told_next() -> None:
    waiting = Said(4)
    waiting.add(Progress(None, 1, None))
    portion = waiting.portion()
    waiting.add(Progress(None, 1, None))

    waiting.settle(portion)

    assert portion.steps == {'completed': 1, 'total': 4}
    assert waiting.portion().steps == {'completed': 2, 'total': 4}
    waiting.settle(waiting.portion())
    assert not waiting


def test_steps_never_outgrow_what_the_service_counts() -> None:
    waiting = Said(1)

    waiting.add(Progress(MOST_STEPS, MOST_STEPS, None))

    assert waiting.portion().steps == {'completed': MOST_STEPS, 'total': 1}


@given(some.lists(some.tuples(some.booleans(), some.integers(0, 30_000)), max_size=300))
def test_all_of_it_comes_once_in_order_and_in_portions_within_bounds(sizes: list[tuple[bool, int]]) -> None:
    waiting = Said(1)
    for number, (silent, size) in enumerate(sizes):
        waiting.add(note(number, silent=silent, text='x' * size))
    found: list[str] = []

    while portion := waiting.portion().messages:
        assert len(portion) <= MESSAGES_A_PORTION
        assert len(portion) == 1 or sum(len(each['text']) for each in portion) <= CHARACTERS_A_PORTION
        found.extend(each['message_id'] for each in portion)
        waiting.settle(Portion(portion))

    assert found == sorted(set(found))
    assert len(found) + waiting.left_out == len(sizes)
    assert waiting.left_out == 0 or sum(size for _, size in sizes) > said.MOST_CHARACTERS - 100 * len(sizes)
