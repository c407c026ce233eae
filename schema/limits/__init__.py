"""What an operation may ask for: its document's size, its cost, and how long it may take."""
