"""Tables, labels and columns as users give them, to plain arrays."""
