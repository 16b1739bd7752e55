"""The statements about waits, signals and families of runs."""

LETTERS = """
SELECT r.id, r.signals, r.is_paused, (
    SELECT json_agg(json_build_object('id', w.id, 'value', w.answer, 'by', w.answered_by,
        'at', w.answered_at, 'in_time', NOT w.timed_out))
    FROM waits w WHERE w.run_id = r.id AND w.closed_at IS NULL AND w.answered_at IS NOT NULL
) AS answers, (
    SELECT json_agg(json_build_object('id', c.id, 'status', c.status, 'outputs', c.outputs,
        'error', c.error, 'at', c.finished_at))
    FROM waits w JOIN runs c ON c.id = w.id
    WHERE w.run_id = r.id AND w.closed_at IS NULL AND w.kind = 'child'
) AS children
FROM unnest(%s::uuid[], %s::int[]) AS u (id, signals)
JOIN runs r ON r.id = u.id AND r.signals > u.signals
"""
"""What came for these runs, for those that got signals their owner has not seen."""

EXPIRE = """
WITH e AS (
    UPDATE waits SET answered_at = now(), timed_out = true
    WHERE id = %(id)s AND answered_at IS NULL
    RETURNING id, answer, answered_by, answered_at, timed_out
)
SELECT * FROM e
UNION ALL
SELECT id, answer, answered_by, answered_at, timed_out FROM waits
WHERE id = %(id)s AND answered_at IS NOT NULL
"""
"""End a wait whose time is over, unless somebody answered. No row: it was answered just now."""

_SIGNAL = """
    signals = r.signals + 1,
    status = CASE WHEN r.status = 'waiting' AND NOT r.is_paused THEN 'queued' ELSE r.status END,
    wake_at = CASE WHEN r.status = 'waiting' THEN NULL ELSE r.wake_at END,
    rung_at = now()
"""
"""What anything that comes for a run does to its row."""

SIGNAL_PARENTS = f"""
UPDATE runs r SET {_SIGNAL} FROM runs c
WHERE c.id = ANY(%(runs)s::uuid[]) AND c.finished_at IS NOT NULL AND r.id = c.parent_id
    AND r.status IN ('queued', 'running', 'waiting')
RETURNING r.id
"""  # noqa: S608 - composed of literals
"""Tell the parents of runs that ended."""

SIGNAL_FORGOTTEN = f"""
WITH due AS (
    SELECT r.id FROM runs r
    WHERE r.status IN ('running', 'waiting') AND NOT r.is_paused AND EXISTS (
        SELECT FROM waits w JOIN runs c ON c.id = w.id
        WHERE w.run_id = r.id AND w.kind = 'child' AND w.closed_at IS NULL
            AND c.finished_at < now() - interval '2 seconds'
    ) AND r.id IN (SELECT run_id FROM waits WHERE kind = 'child' AND closed_at IS NULL)
    ORDER BY r.id LIMIT 1000 FOR UPDATE SKIP LOCKED
)
UPDATE runs r SET {_SIGNAL} FROM due WHERE r.id = due.id RETURNING r.id
"""  # noqa: S608 - see above
"""Parents whose child ended and whose signal was lost."""

_CANCEL = """
), tree AS (
    SELECT id FROM roots
    UNION
    SELECT c.id FROM runs c JOIN tree t ON c.parent_id = t.id WHERE c.finished_at IS NULL
), gone AS (
    SELECT id FROM runs WHERE id IN (SELECT id FROM tree)
        AND status IN ('queued', 'running', 'waiting')
    ORDER BY id FOR UPDATE
), r AS (
    UPDATE runs SET status = 'cancelled', epoch = epoch + 1, seq = seq + 1, worker = NULL,
        wake_at = NULL, finished_at = now()
    FROM gone WHERE runs.id = gone.id
    RETURNING runs.id, seq, workspace_id
), l AS (
    INSERT INTO log (run_id, seq, workspace_id, entry)
    SELECT id, seq, workspace_id, '{"t":"run.cancelled"}' FROM r
)
SELECT id FROM r
"""

_ROOTS_CHILDREN = """
WITH RECURSIVE roots AS (
    SELECT id FROM runs WHERE parent_id = ANY(%(runs)s::uuid[]) AND finished_at IS NULL
"""
CANCEL_CHILDREN = _ROOTS_CHILDREN + _CANCEL
"""End what these runs started, and what that started."""

_ROOTS_ORPHANS = """
WITH RECURSIVE roots AS (
    SELECT c.id FROM runs c WHERE c.parent_id IS NOT NULL AND c.finished_at IS NULL AND (
        EXISTS (SELECT FROM runs p WHERE p.id = c.parent_id AND p.finished_at IS NOT NULL)
        OR EXISTS (SELECT FROM waits w WHERE w.id = c.id AND w.closed_at IS NOT NULL)
    )
"""
CANCEL_ORPHANS = _ROOTS_ORPHANS + _CANCEL
"""End runs whose parent has ended, or needs them no more."""

START_CHILD = """
WITH p AS (
    SELECT id, workspace_id, root_id, owner, trigger, priority, created_by, traceparent
    FROM runs WHERE id = %(parent)s AND epoch = %(epoch)s AND status = 'running' FOR SHARE
), r AS (
    INSERT INTO runs (id, workspace_id, root_id, template, version, sha256, trigger, owner,
        settings, connections, is_pure, priority, inputs, created_by, parent_id, frame, children,
        traceparent, status, seq)
    SELECT %(id)s::uuid, p.workspace_id, p.root_id, %(template)s::text, %(version)s::text,
        %(sha256)s::bytea, p.trigger, p.owner, %(settings)s::json, %(connections)s::json, false,
        p.priority, %(inputs)s::json, p.created_by, p.id, %(frame)s::text, %(children)s::json,
        p.traceparent, 'queued', 1
    FROM p
    ON CONFLICT (id) DO NOTHING
    RETURNING id, workspace_id
), l AS (
    INSERT INTO log (run_id, seq, workspace_id, entry)
    SELECT id, 1, workspace_id, %(entry)s::json FROM r
)
SELECT id FROM r
"""
"""Start a child while its parent is still this worker's."""
