"""Several processes on one database: how each hears of what the others changed."""
