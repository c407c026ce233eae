"""A simulated provider: a real HTTP server that speaks the four protocols, their errors included.

`trunkline simulate-provider` serves it, the demo's traffic runs through it, and tests point the
code that talks to real providers at it. It never stands in for a part of Trunkline.

To read it: `behaviour.py` (what is set while it runs), `reaction.py` (what one request meets),
`model_names.py` and `script.py` (how that is chosen), `protocols/` (how each protocol asks and
answers), `answer.py` and `composing.py` (what is said), `transmission.py` and `wire.py` (how it
gets onto the connection, faults included), `exchange.py` (one request from end to end), `app.py`.
"""
