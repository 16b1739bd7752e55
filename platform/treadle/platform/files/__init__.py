"""Uploaded files, and the blobs that files and artifacts are stored in."""
