"""A corpus of edits: small projects, and what each edit must do to a fingerprint."""
