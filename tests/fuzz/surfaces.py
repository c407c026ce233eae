"""Every way in that is fuzzed."""

from tests.fuzz.commands import COMMANDS
from tests.fuzz.frames import FRAMES
from tests.fuzz.identifiers import IDENTIFIERS
from tests.fuzz.operations import OPERATIONS
from tests.fuzz.program import PROGRAM
from tests.fuzz.provider_answers import PROVIDER_ANSWERS
from tests.fuzz.raw_http import RAW_HTTP

SURFACES = {
    one.name: one
    for one in (
        OPERATIONS,
        RAW_HTTP,
        FRAMES,
        PROVIDER_ANSWERS,
        PROGRAM,
        IDENTIFIERS,
        COMMANDS,
    )
}
