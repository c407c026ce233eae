"""What a server takes for told: true whatever is said on the bus."""

from trunkline.processes.seen import MOST_COUNTERS, Heard, Seen

A = ("a", "provider")
B = ("b", "model")


def test_messages_in_order_are_each_the_next() -> None:
    seen = Seen()
    assert seen.hear(A, 0, 100) is Heard.NEXT
    assert seen.hear(A, 100, 101) is Heard.NEXT
    assert seen.hear(B, 0, 5) is Heard.NEXT


def test_a_repeated_message_is_old() -> None:
    seen = Seen()
    seen.hear(A, 0, 100)
    assert seen.hear(A, 0, 100) is Heard.OLD
    assert seen.hear(A, 98, 99) is Heard.OLD


def test_a_lost_message_leaves_a_gap_once() -> None:
    seen = Seen()
    seen.hear(A, 0, 100)
    assert seen.hear(A, 101, 102) is Heard.GAP
    assert seen.hear(A, 102, 103) is Heard.NEXT


def test_an_unknown_writer_that_began_before_leaves_a_gap() -> None:
    assert Seen().hear(A, 100, 101) is Heard.GAP


def test_what_is_stored_and_was_not_heard_is_told_once() -> None:
    seen = Seen()
    seen.hear(A, 0, 100)
    heard = seen.values()
    assert seen.is_behind({A: 101})
    assert seen.compare(heard, {A: 101, B: 5}) == {"provider", "model"}
    assert not seen.is_behind({A: 101})
    assert seen.compare(seen.values(), {A: 101, B: 5}) == set()
    assert seen.hear(A, 100, 101) is Heard.OLD


def test_what_was_heard_while_the_store_was_read_is_not_told_again() -> None:
    seen = Seen()
    heard = seen.values()
    seen.hear(A, 0, 100)
    seen.hear(A, 100, 101)
    assert seen.compare(heard, {A: 100}) == set()
    assert seen.hear(A, 101, 102) is Heard.NEXT


def test_what_was_made_up_is_unlearned_and_told_again() -> None:
    seen = Seen()
    seen.hear(A, 0, 100)
    seen.hear(A, 100, 2**62)
    seen.hear(B, 0, 9)
    assert seen.hear(A, 100, 101) is Heard.OLD, "taken in"
    assert seen.compare(seen.values(), {A: 101}) == {"provider"}
    assert seen.hear(A, 101, 102) is Heard.NEXT
    assert seen.values() == {A: 102}


def test_a_forgotten_writer_that_comes_back_is_the_next() -> None:
    seen = Seen()
    seen.hear(A, 0, 100)
    assert seen.compare(seen.values(), {}) == set()
    assert seen.hear(A, 0, 5_000) is Heard.NEXT


def test_our_own_commits_are_told_and_what_got_lost_between_is_not() -> None:
    seen = Seen()
    seen.follow(A, 0, 100)
    seen.follow(A, 100, 101)
    assert not seen.is_behind({A: 101})
    # 102 was committed, but nobody could say so.
    seen.follow(A, 102, 103)
    assert seen.compare(seen.values(), {A: 103}) == {"provider"}
    seen.follow(A, 103, 104)
    assert seen.values() == {A: 104}


def test_ever_new_writers_fill_no_memory() -> None:
    seen = Seen()
    for number in range(MOST_COUNTERS + 100):
        seen.hear((str(number), "usage"), 0, 1)
    assert len(seen.values()) == MOST_COUNTERS
    assert seen.hear(("0", "usage"), 1, 2) is Heard.NEXT
    assert seen.compare(seen.values(), {A: 1}) == {"provider"}
    assert seen.values() == {A: 1}
