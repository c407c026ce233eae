"""Ids of tool calls as Anthropic takes them: letters, digits, `_` and `-`.

Other providers' hold more, such as `functions.read:0`, and a request with one is refused.
"""

import re
from hashlib import blake2b

_TAKEN = re.compile(r"[A-Za-z0-9_-]+")
_DIGEST_BYTES = 12


def call_id_for(call_id: str) -> str:
    """The same id where it is taken, else one made from it: the same each time, so that a call and
    its result still meet.
    """
    if _TAKEN.fullmatch(call_id):
        return call_id
    digest = blake2b(call_id.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES)
    return f"toolu_{digest.hexdigest()}"
