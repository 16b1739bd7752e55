"""Agents: a template at a version with settings, connections and triggers bound."""
