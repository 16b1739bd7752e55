"""The OpenAI protocol over an engine.

`app` wires, `schemas` reads requests, `generation` runs them, `wire` writes answers; `chat` and
`completions` are the two endpoints that generate.
"""
