"""GraphQL operations executed by generated code; begin with `executing.py`."""
