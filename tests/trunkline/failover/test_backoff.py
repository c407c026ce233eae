"""How long is waited before the same step is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.failover.backoff import LONGEST_SECONDS, pause_before_retry
from trunkline.failover.classes import AttemptFailure, FailureClass

RETRIED = (FailureClass.TRANSIENT, FailureClass.RATE_LIMITED)


def failure(kind: FailureClass, asked: float | None = None) -> AttemptFailure:
    return AttemptFailure(kind, 500, asked, "it failed")


@pytest.mark.parametrize("kind", [kind for kind in FailureClass if kind not in RETRIED])
def test_most_classes_are_not_tried_again(kind: FailureClass) -> None:
    assert pause_before_retry(failure(kind), 0, 0.5) is None
    assert pause_before_retry(failure(kind, 1.0), 0, 0.5) is None


@pytest.mark.parametrize("kind", RETRIED)
def test_backoff_doubles_from_half_a_second_to_eight(kind: FailureClass) -> None:
    found = [pause_before_retry(failure(kind), retry, 1.0) for retry in range(7)]
    assert found == [0.5, 1, 2, 4, 8, 8, 8]
    assert pause_before_retry(failure(kind), 10**9, 1.0) == 8


@given(retry=st.integers(0, 100), chance=st.floats(0, 1))
def test_jitter_is_full(retry: int, chance: float) -> None:
    most = min(LONGEST_SECONDS, 0.5 * 2**retry)
    assert pause_before_retry(failure(FailureClass.TRANSIENT), retry, chance) == pytest.approx(
        chance * most
    )


def test_a_wait_that_is_asked_for_counts_up_to_five_seconds() -> None:
    transient, limited = FailureClass.TRANSIENT, FailureClass.RATE_LIMITED
    # Where it is longer than the backoff, and for a rate limit never sooner or later.
    assert pause_before_retry(failure(transient, 3.0), 0, 1.0) == 3.0
    assert pause_before_retry(failure(transient, 0.1), 0, 1.0) == 0.5
    assert pause_before_retry(failure(limited, 0.1), 0, 1.0) == 0.1
    assert pause_before_retry(failure(limited, 5.0), 3, 0.0) == 5.0
    assert pause_before_retry(failure(limited, -7.0), 3, 0.0) == 0.0
    for kind in RETRIED:
        assert pause_before_retry(failure(kind, 5.001), 0, 0.0) is None
