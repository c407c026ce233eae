"""Why a command ends before it does anything: one line for a person, exit 2, no traceback."""


class CannotStart(Exception):
    """Something that an operator can put right; the message says what to do."""
