"""The stages of the example, from scans to pictures: plain functions that know nothing of any cache."""
