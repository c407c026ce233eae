"""Scripts: what consecutive requests for a model meet, one after the other.

{"models": {"gpt-5": ["status-503", "fail-429-retry-after-2", "ok"],
            "*": {"behaviours": ["overloaded"], "healthyAfterSeconds": 30}}}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.simulated.json_values import Json, json_object
from server.simulated.model_names import NotUnderstood, read_behaviour
from server.simulated.reaction import Reaction

ANY_MODEL = "*"
LISTS = "@list"
"""Stands for requests that name no model to answer: lists, and what a model can do."""
_MOST_MODELS = 1_000
_MOST_BEHAVIOURS = 10_000
_FIELDS = ("behaviours", "then", "healthyAfterSeconds", "healthyAfterRequests")


class BadScript(ValueError):
    """What is wrong with a script, and where."""


Step = str | Reaction
"""What one request meets: in the words of names, or whole. Words add to the model's own base."""


@dataclass(frozen=True, slots=True)
class Sequel:
    """The steps of one model; `then` is repeated after them, the last step where it is None."""

    behaviours: tuple[Step, ...]
    then: Step | None = None
    # Counted from the model's first request.
    healthy_after_seconds: float | None = None
    healthy_after_requests: int | None = None

    def __post_init__(self) -> None:
        if not self.behaviours:
            raise BadScript("behaviours: at least one")

    def step(self, turn: int, seconds: float) -> Step:
        """For the request of this turn, from 0, so many seconds after the first."""
        after_requests, after_seconds = self.healthy_after_requests, self.healthy_after_seconds
        if after_requests is not None and turn >= after_requests:
            return "ok"
        if after_seconds is not None and seconds >= after_seconds:
            return "ok"
        if turn < len(self.behaviours):
            return self.behaviours[turn]
        return self.behaviours[-1] if self.then is None else self.then


class Script:
    """A sequel for each model; `*` for every other, `@list` for lists of models.

    `Script({"gpt-5": ["status-503", "ok"]})`. Raises `BadScript`.
    """

    def __init__(self, models: Mapping[str, Sequel | Sequence[Step]]) -> None:
        self.sequels: dict[str, Sequel] = {}
        for model, given in models.items():
            sequel = given if isinstance(given, Sequel) else Sequel(tuple(given))
            for step in (*sequel.behaviours, *(() if sequel.then is None else (sequel.then,))):
                _check(model, step)
            self.sequels[model] = sequel

    def sequel_of(self, model: str | None) -> Sequel | None:
        """For requests to this model, or for lists where it is None."""
        if model is None:
            return self.sequels.get(LISTS)
        return self.sequels.get(model) or self.sequels.get(ANY_MODEL)

    @classmethod
    def from_json(cls, value: object) -> "Script":
        """Read from JSON. Raises `BadScript` with the place."""
        models = json_object(value).get("models")
        if not isinstance(models, dict) or len(json_object(value)) != 1:
            raise BadScript('a script is {"models": {"<model>": ["<behaviour>", …]}}')
        if len(models) > _MOST_MODELS:
            raise BadScript(f"models: at most {_MOST_MODELS:,}")
        return cls({name: _sequel(name, given) for name, given in models.items()})


def _sequel(model: str, given: object) -> Sequel:
    if isinstance(given, list):
        given = {"behaviours": given}
    if not isinstance(given, dict) or not set(given) <= set(_FIELDS):
        raise BadScript(f"{model}: a list of behaviours, or an object of {', '.join(_FIELDS)}")
    behaviours = given.get("behaviours")
    if (
        not isinstance(behaviours, list)
        or not 0 < len(behaviours) <= _MOST_BEHAVIOURS
        or not all(isinstance(one, str) for one in behaviours)
    ):
        raise BadScript(f"{model}: behaviours is a list of 1 to {_MOST_BEHAVIOURS:,} texts")
    then = given.get("then")
    if then is not None and not isinstance(then, str):
        raise BadScript(f"{model}: then is a text")
    requests = _number(model, given, "healthyAfterRequests")
    return Sequel(
        tuple(behaviours),
        then,
        _number(model, given, "healthyAfterSeconds"),
        None if requests is None else int(requests),
    )


def _number(model: str, given: Json, name: str) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
        raise BadScript(f"{model}: {name} is a number from 0")
    return value


def _check(model: str, step: Step) -> None:
    if isinstance(step, str):
        try:
            read_behaviour(step, Reaction())
        except NotUnderstood as error:
            raise BadScript(f"{model}: {error}") from error
