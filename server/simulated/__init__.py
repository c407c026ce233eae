"""A simulated provider: a real HTTP server that speaks the four protocols, its errors included.

The demo's traffic runs through it and the tests of the adapters use it. It never stands in for a
part of Trunkline: what talks to it is the code that talks to a real provider.
"""
