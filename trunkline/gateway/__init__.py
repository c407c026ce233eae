"""The gateway: requests in protocols that agents speak, run through chains, and counted."""
