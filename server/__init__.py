"""The front door: the ASGI app, its routes, the command line and the settings. Knows no SQL."""
