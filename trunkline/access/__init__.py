"""Access tokens of our own: who may do what."""
