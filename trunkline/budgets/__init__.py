"""Budgets: what may be spent in a period, who is told, and what is blocked."""
