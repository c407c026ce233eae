"""What providers speak: a chat in our own words to and from each of their protocols."""
