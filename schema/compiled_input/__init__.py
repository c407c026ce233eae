"""Variables and inputs read by generated code; begin with `variables.py`."""
