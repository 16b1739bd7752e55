"""Traces for OpenTelemetry: a request, the run it started, the run's steps, their calls.

Spans leave as OTLP over HTTP in JSON, which every collector takes, and only where a setting names
one: without it nothing is made, and nothing is loaded either way, as the protocol needs no more
than an HTTP client. A run's spans are made of its ledger's entries, with ids that follow from the
run and the path: whoever resumes a run after a crash goes on in the same trace.
"""
