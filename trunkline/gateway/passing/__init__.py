"""Where caller and provider speak the same protocol: bodies pass as they are, and are looked at."""
