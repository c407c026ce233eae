"""Traces by OpenTelemetry, where the usual environment variables ask for them.

Nothing here is imported otherwise but the port, which knows no library.
"""
