"""Tools that agents use, the egress guard they go through, and the model client."""
