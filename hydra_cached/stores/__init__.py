"""Stores: where entries are kept. A store knows keys and entries, nothing of nodes or configs."""
