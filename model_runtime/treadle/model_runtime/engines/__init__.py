"""Engines of others: their flags, their commands, their processes, and the API in front of them."""
