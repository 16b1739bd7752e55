"""What the benchmarks of the whole service share: the service, the load, the counts."""
