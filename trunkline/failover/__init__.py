"""Failover chains: ordered models with retries and timeouts."""
