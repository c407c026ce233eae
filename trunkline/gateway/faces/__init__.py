"""What callers speak: requests read into our own words, answers and errors written from them."""
