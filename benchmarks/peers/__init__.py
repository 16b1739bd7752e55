"""What others do with the same work, each where it is installed."""
