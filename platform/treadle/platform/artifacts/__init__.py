"""Artifacts: files that runs made for people."""
