"""The model catalog: what the price data knows, what providers list, what operators add."""
