"""Answers from people and programs: approvals, their page, and callbacks.

What is waited for lies in the engine's table `waits`; the first answer counts.
"""
