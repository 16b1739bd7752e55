"""Whether the process lives, whether it can work, and its metrics."""
