"""What a reference grid takes of a formula: values seen in fit, and its columns at cells."""
