"""The steps of a chain as they are asked for, checked whole: every problem at once.

To read an edit: a step with an id is one of the chain's and keeps what it leaves out; a step
without an id is new and needs a model.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from db.chains import StepRow, StepValues
from trunkline.changes import UNSET, Given, Problems
from trunkline.errors import ProblemCode

MOST_STEPS = 20
MOST_RETRIES = 10
SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 3_600.0
DEFAULT_RETRIES = 2
DEFAULT_TIMEOUT_SECONDS = 300.0
DEFAULT_FIRST_TOKEN_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInput:
    """A step as given; what is UNSET stays, or is the default in a new step."""

    id: Given[int] = UNSET
    model_id: Given[int] = UNSET
    max_retries: Given[int] = UNSET
    timeout_seconds: Given[float] = UNSET
    first_token_timeout_seconds: Given[float] = UNSET


def checked_steps(
    problems: Problems, given: Sequence[StepInput], present: Sequence[StepRow]
) -> list[StepValues]:
    """The steps to store. Notes every problem with its path; models are checked by the caller."""
    if not given:
        problems.add(ProblemCode.TOO_FEW, ("steps",), "a chain needs at least one step")
    if len(given) > MOST_STEPS:
        problems.add(ProblemCode.TOO_MANY, ("steps",), f"a chain has at most {MOST_STEPS} steps")
        return []
    by_id = {step.id: step for step in present}
    seen_ids: set[int] = set()
    seen_models: set[int] = set()
    steps = []
    for place, one in enumerate(given):
        path = ("steps", str(place))
        base = _base(problems, one, path, by_id, seen_ids)
        step = StepValues(
            id=base.id if base else None,
            model_id=_model(problems, one, path, base),
            max_retries=_retries(problems, one, path, base),
            timeout_seconds=_seconds(
                problems,
                one.timeout_seconds,
                (*path, "timeoutSeconds"),
                base.timeout_seconds if base else DEFAULT_TIMEOUT_SECONDS,
            ),
            first_token_timeout_seconds=_seconds(
                problems,
                one.first_token_timeout_seconds,
                (*path, "firstTokenTimeoutSeconds"),
                base.first_token_timeout_seconds if base else DEFAULT_FIRST_TOKEN_TIMEOUT_SECONDS,
            ),
        )
        if step.model_id in seen_models:
            problems.add(
                ProblemCode.DUPLICATE,
                (*path, "modelId"),
                "this model is a step of the chain already: raise its maxRetries instead",
            )
        if step.model_id > 0:
            seen_models.add(step.model_id)
        steps.append(step)
    return steps


def _base(
    problems: Problems,
    one: StepInput,
    path: tuple[str, ...],
    by_id: Mapping[int, StepRow],
    seen: set[int],
) -> StepRow | None:
    """The step of the chain that is edited, or None where a new one is meant."""
    if one.id is UNSET or one.id is None:
        return None
    found = by_id.get(one.id)
    if found is None:
        problems.add(
            ProblemCode.NOT_FOUND,
            (*path, "id"),
            "the chain has no step with this id: leave the id out to add a step",
        )
    elif one.id in seen:
        problems.add(ProblemCode.DUPLICATE, (*path, "id"), "this step is named twice")
    seen.add(one.id)
    return found


def _model(problems: Problems, one: StepInput, path: tuple[str, ...], base: StepRow | None) -> int:
    if one.model_id is None:
        problems.invalid((*path, "modelId"), "modelId can't be null")
        return 0
    if one.model_id is not UNSET:
        return one.model_id
    if base is not None:
        return base.model_id
    if one.id is UNSET or one.id is None:
        problems.invalid((*path, "modelId"), "a new step needs a modelId")
    return 0


def _retries(
    problems: Problems, one: StepInput, path: tuple[str, ...], base: StepRow | None
) -> int:
    standing = base.max_retries if base else DEFAULT_RETRIES
    if one.max_retries is UNSET:
        return standing
    if one.max_retries is None or not 0 <= one.max_retries <= MOST_RETRIES:
        problems.invalid((*path, "maxRetries"), f"maxRetries takes 0 to {MOST_RETRIES}")
        return standing
    return one.max_retries


def _seconds(
    problems: Problems, given: Given[float], path: tuple[str, ...], standing: float
) -> float:
    if given is UNSET:
        return standing
    if (
        given is None
        or not math.isfinite(given)
        or not SHORTEST_SECONDS <= given <= LONGEST_SECONDS
    ):
        problems.invalid(
            path, f"{path[-1]} takes {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g} seconds"
        )
        return standing
    return given
