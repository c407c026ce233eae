"""What is secret in the tests, and every place where it was seen though it must not be.

Secrets are learned where they enter: what is sealed, tested with or signed in by. They are
looked for whole: a mask may show a prefix and the last four characters.
"""

from dataclasses import dataclass, field

SHORTEST = 14
"""Characters; a shorter one, such as "any", is found in many a word."""
PLANTED = (
    "sk-planted-0123456789-4f2A", "sk-ant-api03-planted-key-4f2A", "planted-secret-0123456789",
    "sk-ant-api03-planted-4f2A", "simulated-key-0123456789",
)  # fmt: skip
"""Keys that tests write down; also those that reach a server in another process."""
_MOST_LEARNED = 96


@dataclass
class LeakWatch:
    """`see` what comes out; `taken` gives what was wrong with it since it was asked last."""

    _known: dict[bytes, int] = field(
        default_factory=lambda: {one.encode(): 0 for one in PLANTED}, repr=False
    )
    """How often an answer may still show each: once where a change has just made it."""
    _leaks: list[str] = field(default_factory=list)

    def learn(self, secret: str, *, shown: int = 0) -> None:
        """Know that this is secret, but for the answer to the change that made it."""
        text = secret.encode()
        if len(text) < SHORTEST or text in self._known:
            return
        while len(self._known) >= _MOST_LEARNED + len(PLANTED):
            # The oldest, of a test that is over; those that tests write down stay.
            del self._known[list(self._known)[len(PLANTED)]]
        self._known[text] = shown

    def see(self, place: str, said: str | bytes, *, answer: bool = False) -> None:
        """Look for every secret in what was said there."""
        text = said.encode(errors="replace") if isinstance(said, str) else bytes(said)
        for secret in [one for one in self._known if one in text]:
            if answer and self._known[secret] > 0:
                self._known[secret] -= 1
                continue
            at = text.index(secret)
            around = text[max(0, at - 80) : at + len(secret) + 40].decode(errors="replace")
            self._leaks.append(f"{place}: …{around}…")

    def taken(self) -> list[str]:
        """The leaks up to now, which are forgotten by that."""
        leaks, self._leaks = self._leaks, []
        return leaks


watch = LeakWatch()
"""That of the process that runs the tests."""
