"""What a browser calls itself, in a few words: for people who look for their own among sessions.

The header is the client's own word and may be anything; what is kept of it is short and printable.
"""

import re

LONGEST = 60
_READ = 1_000
"""Characters of the header that are looked at."""

# The first that is found counts: browsers name those that they descend from as well.
_BROWSERS = (
    ("Edge", re.compile(r"\bEdg(?:e|A|iOS)?/(\d{1,4})")),
    ("Opera", re.compile(r"\bOPR/(\d{1,4})")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/(\d{1,4})")),
    ("Chrome", re.compile(r"\b(?:Headless)?(?:Chrome|CriOS)/(\d{1,4})")),
    ("Safari", re.compile(r"\bVersion/(\d{1,4})[\d.]* (?:Mobile/\w+ )?Safari/")),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def browser_name(user_agent: str | None) -> str | None:
    """Such as "Firefox 132 on Linux"; the first word of a program's; None where nothing is said."""
    said = (user_agent or "")[:_READ]
    system = next((name for sign, name in _SYSTEMS if sign in said), None)
    for name, pattern in _BROWSERS:
        found = pattern.search(said)
        if found is not None:
            return f"{name} {found[1]}" + (f" on {system}" if system else "")
    first = said.split(" ", 1)[0]
    kept = "".join(one for one in first if one.isascii() and one.isprintable())
    return kept[:LONGEST] or None
