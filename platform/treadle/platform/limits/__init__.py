"""How many runs a workspace, and each of its templates, may have at work at a time."""
