"""The audit log: who changed what of the configuration, left in the change's own transaction."""
