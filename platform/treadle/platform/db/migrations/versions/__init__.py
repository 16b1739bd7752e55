"""Migrations, named by number; each says what it made."""
