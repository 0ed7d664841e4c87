"""What the displays share: axes, colors, labels, and the choice of what is shown."""
