"""Webhooks in: signed requests that start an agent.

Read first: `receiving` (from a request to a run), then `taking` (how an agent's triggers become
hooks and schedules).
"""
