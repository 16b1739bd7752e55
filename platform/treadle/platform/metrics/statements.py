"""Statements of metrics, for the engine's role."""

PUBLISH = """
INSERT INTO process_metrics (process, content) VALUES (%s, %s::json)
ON CONFLICT (process) DO UPDATE SET content = excluded.content, at = now()
"""

RETIRE = "DELETE FROM process_metrics WHERE process = %s OR at < now() - interval '1 hour'"

PUBLISHED = """
SELECT process, content::text AS content FROM process_metrics
WHERE at > now() - make_interval(secs => %s) ORDER BY process
"""
"""Who has been silent for longer has ended, whatever became of it."""

DEPTH = """
SELECT 'queued' AS status, count(*) AS runs FROM runs WHERE status = 'queued'
UNION ALL SELECT 'running', count(*) FROM runs WHERE status = 'running'
UNION ALL SELECT 'waiting', count(*) FROM runs WHERE status = 'waiting'
"""
"""Each count has a partial index of its own, so that history costs nothing."""
