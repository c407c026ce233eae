"""What commands print for a person: nothing in it moves a terminal's cursor or ends a line early.

Names of files, and what a database or a provider says, may hold anything.
"""

import sys


def printable(text: str) -> str:
    """The same with a mark for whatever can't be printed."""
    return "".join(sign if sign.isprintable() else "�" for sign in text)


def say(text: str) -> None:
    """A line on stderr."""
    sys.stderr.write(f"{printable(text)}\n")
