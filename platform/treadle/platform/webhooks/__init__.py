"""Webhooks out: events that the workspace wants to hear of, signed, retried, logged.

Read first: `models` (a delivery is a row, written by a trigger in the transaction of its event),
then `delivery` (the loop that sends what is due), `signature` (Standard Webhooks, both ways).
"""
