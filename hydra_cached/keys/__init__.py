"""Keys: values and code in, digests out. Nothing here writes, and nothing but source is read."""
