"""The names of this machine's own interface. A module of its own: settings need them, and a command
that reads its settings loads nothing of the server.
"""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
