"""Metrics for Prometheus. Labels never name a tenant.

Every process writes what it counts into the database every few seconds, and any API process answers
`/metrics` for the whole installation, its own numbers live: one address to scrape, behind a
balancer too. The label `process` keeps the series of two processes apart.
"""
