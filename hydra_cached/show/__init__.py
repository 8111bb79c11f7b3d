"""Showing: data in, text or HTML out."""
