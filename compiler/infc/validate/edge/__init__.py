"""What an edge device measured and says of itself, read into values, and what later plans learn from it."""
