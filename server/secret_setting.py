"""A setting that nothing shows by accident."""


class Secret:
    """A text that is in no `repr`, no `str` and no message."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"
