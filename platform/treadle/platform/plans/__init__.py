"""What a run of an agent would need, before it runs."""
