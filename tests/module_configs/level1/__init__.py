"""A group of groups."""
