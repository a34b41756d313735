"""Dockerfiles: what they say, and the recipes that say the same."""
