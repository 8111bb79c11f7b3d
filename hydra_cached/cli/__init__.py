"""Commands: argument parsing only; what they do is elsewhere."""
