"""What formulas may call, with R's meaning and numbers, and the order of labels."""
