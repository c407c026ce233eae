"""The work: providers, failover, usage, catalog and secrets. No GraphQL, no HTTP server."""

__version__ = "0.1.0"
