"""The one table of names."""
