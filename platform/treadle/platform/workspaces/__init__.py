"""Workspaces: each owns everything in it; the first one is made at the first start."""
