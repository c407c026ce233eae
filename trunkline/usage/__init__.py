"""Usage: recorded, priced, bucketed, pushed."""
