"""API keys, their scopes, and who is calling."""
