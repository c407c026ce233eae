"""Embeddings: what callers ask for, and how each kind of provider is asked and answers."""
