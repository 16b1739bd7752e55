"""Batches: one run per row of a table, results as a table.

Read first: `rows` (from a file to rows, from a row to inputs), then `service`.
"""
