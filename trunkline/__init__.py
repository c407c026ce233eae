"""The work: providers, failover, usage, catalog and secrets. Knows nothing of GraphQL or HTTP servers."""

__version__ = "0.1.0"
