"""Text that both databases can hold, for rows that no stranger's words may keep out."""


def is_storable(text: str) -> bool:
    """Whether a row can hold it as it is. PostgreSQL refuses to look for what none can hold, and
    drivers to send lone surrogates.
    """
    return text.isprintable() or storable(text) == text


def storable(text: str, *, longest: int | None = None) -> str:
    """The text with NUL and lone surrogates as U+FFFD and `?`, cut to so many characters."""
    cut = text if longest is None else text[:longest]
    if cut.isprintable():
        return cut
    return cut.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
