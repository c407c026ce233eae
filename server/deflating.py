"""Pieces of a message in DEFLATE (RFC 1951) that are made apart and sent together.

A message of `permessage-deflate` (RFC 7692 §7.2.1) is any number of blocks, of which the last is an
empty stored one without its length, 00 00 FF FF. With no context kept from message to message, what
many sockets send alike is compressed once, and each puts its own bytes around it as stored blocks.
"""

import zlib

LEVEL = 1
"""More saves a twentieth of the bytes and takes twice the time."""
_WINDOW_BITS = -15
_LONGEST_STORED = 0xFFFF

END = b"\x00"
"""What ends a message: an empty stored block, its length left out."""


def deflated_alone(data: bytes) -> bytes:
    """Blocks that refer to nothing before them and end on a whole byte."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, _WINDOW_BITS)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


def stored(data: bytes) -> bytes:
    """A block that holds `data` as it is. At most 65,535 bytes."""
    if len(data) > _LONGEST_STORED:
        raise ValueError("a stored block holds at most 65,535 bytes")
    length = len(data)
    return b"\x00%b%b%b" % (
        length.to_bytes(2, "little"),
        (length ^ _LONGEST_STORED).to_bytes(2, "little"),
        data,
    )
