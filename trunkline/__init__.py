"""The work: providers, failover, usage, catalog and secrets. Knows no GraphQL and no HTTP server."""

__version__ = "0.1.0"
