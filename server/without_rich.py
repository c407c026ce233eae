"""Keeps rich out of the program: import this before structlog.

structlog loads rich, and pygments with it, where it finds them: no dependency of ours installs
them, but others in the same environment may. We draw nothing with either, and they take a tenth of
a second and 5 MB. A module that is None can't be imported, by the import system's own rules, and
structlog does without.
"""

import sys

sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # None is what the rules ask for
