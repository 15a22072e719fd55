"""Widgets: each takes data through one method or reactive."""
