"""Celery processes that claim and advance runs; the logic is the platform's."""
