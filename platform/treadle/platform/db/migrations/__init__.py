"""Alembic's folder: `versions/` holds one module per step, written as SQL."""
