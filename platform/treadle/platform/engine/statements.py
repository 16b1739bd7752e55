"""The statements that write runs. Every array has one element per run."""

_COMMIT = """
WITH w AS (
    UPDATE runs r SET
        epoch = u.epoch_after,
        seq = u.seq_after,
        status = CASE WHEN u.status = 'waiting' AND r.signals <> u.signals AND NOT r.is_paused
            THEN 'queued' ELSE u.status END,
        worker = CASE WHEN u.status = 'running' THEN r.worker END,
        crashes = CASE WHEN u.is_progress THEN 0 ELSE r.crashes END,
        wake_at = u.wake_at,
        rung_at = CASE WHEN u.status IN ('queued', 'waiting') THEN now() ELSE r.rung_at END,
        outputs = coalesce(u.outputs::json, r.outputs),
        error = coalesce(u.error::json, r.error),
        started_at = coalesce(r.started_at, now()),
        finished_at = CASE WHEN u.status IN ('succeeded', 'failed', 'cancelled') THEN now() END
    FROM unnest(
        %s::uuid[], %s::int[], %s::int[], %s::int[], %s::int[], %s::text[], %s::text[],
        %s::bool[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::int[],
        %s::text[]{arrays}
    ) AS u (
        id, epoch, epoch_after, seq, seq_after, expected, status,
        is_progress, wake_at, outputs, error, entries, signals,
        usage{columns}
    )
    WHERE r.id = u.id AND r.epoch = u.epoch AND r.seq = u.seq AND r.status = u.expected
    RETURNING r.id, r.workspace_id, r.status, r.agent, r.template, u.seq, u.entries,
        u.usage{columns}
), l AS (
    INSERT INTO log (run_id, seq, workspace_id, entry)
    SELECT w.id, w.seq + e.number, w.workspace_id, e.entry
    FROM w, json_array_elements(w.entries::json) WITH ORDINALITY AS e (entry, number)
), used AS (
    INSERT INTO usage_entries (workspace_id, agent, template, model, runs, steps, model_calls,
        input_tokens, output_tokens, cached_tokens, cost_usd)
    SELECT w.workspace_id, coalesce(w.agent, ''), w.template, x->>0, sum((x->>1)::int),
        sum((x->>2)::int), sum((x->>3)::int), sum((x->>4)::bigint), sum((x->>5)::bigint),
        sum((x->>6)::bigint), sum((x->>7)::float)
    FROM w, json_array_elements(w.usage::json) AS x GROUP BY 1, 2, 3, 4
){waits}
SELECT id, status, now() AS at FROM w
"""
"""One statement for all pending commits of a process. Whoever was fenced is missing from the
answer, and as the log's rows come from what was updated, nothing of theirs is written. A run does
not park over a signal that came after it began: it is queued again."""

_WAITS = """, opened AS (
    INSERT INTO waits (id, workspace_id, run_id, kind, node, path, item, until, asked)
    SELECT (o->>'id')::uuid, w.workspace_id, w.id, o->>'kind', o->>'node', o->>'path', o->'item',
        (o->>'until')::timestamptz, o->'asked'
    FROM w, json_array_elements(w.opens::json) AS o
    ON CONFLICT (id) DO NOTHING
), closed AS (
    UPDATE waits SET closed_at = now() FROM w, json_array_elements_text(w.closes::json) AS c
    WHERE waits.id = c::uuid AND waits.closed_at IS NULL
)"""

COMMIT = _COMMIT.format(arrays="", columns="", waits="")
COMMIT_WAITS = _COMMIT.format(
    arrays=", %s::text[], %s::text[]", columns=", opens, closes", waits=_WAITS
)
"""The same where a step begins or ends to wait."""

CARRIED_OUT = """
SELECT r.id, r.status, now() AS at FROM runs r JOIN unnest(%s::uuid[], %s::int[], %s::int[])
    AS u (id, epoch, seq) ON r.id = u.id AND r.epoch = u.epoch AND r.seq = u.seq
"""
"""After a commit of unknown outcome: whose epoch and seq are those that it would have left."""

PUT_VALUES = """
INSERT INTO run_values (run_id, workspace_id, ref, content)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[])
ON CONFLICT DO NOTHING
"""

TAKE = """
WITH due AS (
    SELECT id FROM runs
    WHERE id = ANY(%(runs)s::uuid[]) AND status = 'queued' AND NOT is_pure
        AND (wake_at IS NULL OR wake_at <= now()) AND priority >= %(least)s
        AND (crashes < %(suspect)s OR %(may_try)s AND id = (
            SELECT id FROM runs WHERE id = ANY(%(runs)s::uuid[]) AND status = 'queued'
                AND crashes >= %(suspect)s ORDER BY id LIMIT 1
        ))
    ORDER BY id FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE runs r SET
        status = 'running',
        worker = %(worker)s::text,
        epoch = r.epoch + 1,
        seq = r.seq + 1,
        wake_at = NULL,
        started_at = coalesce(r.started_at, now())
    FROM due WHERE r.id = due.id
    RETURNING r.*
), l AS (
    INSERT INTO log (run_id, seq, workspace_id, entry)
    SELECT id, seq, workspace_id,
        json_build_object('t', CASE started_at WHEN now() THEN 'run.started' ELSE 'run.resumed' END)
    FROM claimed
), taken AS (
    SELECT * FROM claimed
    UNION ALL
    SELECT * FROM runs
    WHERE id = ANY(%(runs)s::uuid[]) AND status = 'queued' AND is_pure
        AND (wake_at IS NULL OR wake_at <= now()) AND priority >= %(least)s
)
SELECT id, workspace_id, root_id, template, version, sha256, trigger, owner, settings, connections,
    is_pure, epoch, seq, inputs, parent_id, frame, children, signals, is_paused, rung_at,
    traceparent, crashes,
    coalesce(started_at, now()) AS started_at, now() AS at
FROM taken
"""
"""Claim runs that are queued; of those that one more crash would quarantine, one at most. A run of
pure nodes is only read, not even locked, which would cost a commit too: the commit that finishes it
also claims it."""

LEDGERS = "SELECT run_id, entry FROM log WHERE run_id = ANY(%s::uuid[]) ORDER BY run_id, seq"

VALUES = "SELECT ref, content FROM run_values WHERE run_id = ANY(%s::uuid[]) AND ref = ANY(%s)"

TEXT = "SELECT text FROM template_texts WHERE workspace_id = %s AND sha256 = %s"

ACCEPT = """
WITH r AS (
    INSERT INTO runs (
        id, workspace_id, root_id, agent_id, agent, template, version, sha256, trigger, owner,
        settings, connections, is_pure, wake_at, inputs, created_by, children,
        traceparent, status, seq
    )
    SELECT u.*, 'queued', 1 FROM unnest(
        %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[],
        %s::bytea[], %s::text[], %s::text[], %s::json[], %s::json[], %s::bool[],
        %s::timestamptz[], %s::json[], %s::uuid[], %s::json[], %s::text[]
    ) AS u
    ON CONFLICT (id) DO NOTHING
    RETURNING id, workspace_id
), l AS (
    INSERT INTO log (run_id, seq, workspace_id, entry)
    SELECT id, 1, workspace_id, '{"t":"run.queued"}' FROM r
)
SELECT id, now() AS at FROM r
"""
"""Accept runs. The id is the caller's, so that a second try after an unknown outcome adds none."""

ACCEPT_KEYED = """
WITH u AS (
    SELECT * FROM unnest(
        %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[],
        %s::bytea[], %s::text[], %s::text[], %s::json[], %s::json[], %s::bool[],
        %s::timestamptz[], %s::json[], %s::uuid[], %s::json[], %s::text[],
        %s::text[], %s::bytea[], %s::int[], %s::bytea[], %s::bool[]
    ) AS u (
        id, workspace_id, root_id, agent_id, agent, template, version, sha256, trigger, owner,
        settings, connections, is_pure, wake_at, inputs, created_by, children,
        traceparent, key, fingerprint, answer_status, sealed, is_final
    )
), k AS (
    INSERT INTO idempotency_keys (
        workspace_id, key, fingerprint, run_id, status, sealed, is_final
    )
    SELECT workspace_id, key, fingerprint, id, answer_status, sealed, is_final FROM u
    WHERE key IS NOT NULL
        AND pg_try_advisory_xact_lock(hashtextextended(workspace_id::text || key, 0))
    ON CONFLICT DO NOTHING
    RETURNING run_id
), r AS (
    INSERT INTO runs (
        id, workspace_id, root_id, agent_id, agent, template, version, sha256, trigger, owner,
        settings, connections, is_pure, wake_at, inputs, created_by, children,
        traceparent, status, seq
    )
    SELECT id, workspace_id, root_id, agent_id, agent, template, version, sha256, trigger, owner,
        settings, connections, is_pure, wake_at, inputs, created_by, children,
        traceparent, 'queued', 1
    FROM u WHERE key IS NULL OR id IN (SELECT run_id FROM k)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, workspace_id
), l AS (
    INSERT INTO log (run_id, seq, workspace_id, entry)
    SELECT id, 1, workspace_id, '{"t":"run.queued"}' FROM r
)
SELECT id, now() AS at FROM r
"""
"""As `ACCEPT`, with idempotency keys: a run whose key somebody has is not accepted. The lock, the
one of `idempotency.repository`, keeps this statement from waiting for another's insert."""

ACCEPTED = "SELECT id, created_at AS at FROM runs WHERE id = ANY(%s::uuid[])"

_ABANDON = """
WITH gone AS (
    SELECT id FROM runs WHERE status = 'running' AND {whose} ORDER BY id LIMIT 500
    FOR UPDATE SKIP LOCKED
), u AS (
    UPDATE runs r SET
        epoch = r.epoch + 1,
        crashes = r.crashes + 1,
        worker = NULL,
        rung_at = now(),
        status = CASE WHEN r.crashes + 1 < %(most)s THEN 'queued' ELSE 'failed' END,
        seq = CASE WHEN r.crashes + 1 < %(most)s THEN r.seq ELSE r.seq + 1 END,
        error = CASE WHEN r.crashes + 1 < %(most)s THEN r.error
            ELSE %(error)s::json END,
        finished_at = CASE WHEN r.crashes + 1 >= %(most)s THEN now() END
    FROM gone WHERE r.id = gone.id
    RETURNING r.id, r.workspace_id, r.seq, r.status, r.agent, r.template
), l AS (
    INSERT INTO log (run_id, seq, workspace_id, entry)
    SELECT id, seq, workspace_id, %(entry)s::json FROM u WHERE status = 'failed'
), used AS (
    INSERT INTO usage_entries (workspace_id, agent, template, model, runs, steps, model_calls,
        input_tokens, output_tokens, cached_tokens)
    SELECT workspace_id, coalesce(agent, ''), template, '', 1, 0, 0, 0, 0, 0
    FROM u WHERE status = 'failed'
)
SELECT id, status FROM u
"""

ABANDON_DEAD = _ABANDON.format(
    whose="""NOT EXISTS (
        SELECT FROM workers w WHERE w.name = runs.worker
        AND w.beat_at > now() - make_interval(secs => %(dead_after)s)
    )"""
)
"""Take the runs of workers that no longer beat, and quarantine what killed its worker too often."""

ABANDON_LOST = _ABANDON.format(
    whose="""worker = %(worker)s AND id <> ALL(%(active)s::uuid[]) AND EXISTS (
        SELECT FROM workers w WHERE w.name = %(worker)s AND w.incarnation = %(incarnation)s
    )"""
)
"""Take back runs that say they are this worker's and are not running in it."""

WAKE = """
WITH due AS (
    SELECT id FROM runs WHERE status = 'waiting' AND wake_at <= now() AND NOT is_paused
    ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED
)
UPDATE runs r SET status = 'queued', rung_at = now() FROM due WHERE r.id = due.id RETURNING r.id
"""

RING_AGAIN = """
WITH due AS (
    SELECT id FROM runs
    WHERE status = 'queued' AND (wake_at IS NULL OR wake_at <= now())
        AND (rung_at < now() - make_interval(secs => %s) OR rung_at < wake_at)
    LIMIT 1000 FOR UPDATE SKIP LOCKED
)
UPDATE runs r SET rung_at = now() FROM due WHERE r.id = due.id RETURNING r.id
"""
"""Runs that nobody claimed: their bell was lost, or their time has come. In which order they are
found is no matter: a worker that cannot take all of them asks the queue (`engine.turns`)."""

REGISTER = """
INSERT INTO workers (name, incarnation, concurrency) VALUES (%s, %s, %s)
ON CONFLICT (name) DO UPDATE SET incarnation = excluded.incarnation, beat_at = now(),
    started_at = now(), concurrency = excluded.concurrency
"""

BEAT = """
UPDATE workers SET beat_at = now() WHERE name = %s AND incarnation = %s
RETURNING (SELECT count(*) FROM workers WHERE beat_at > now() - make_interval(secs => %s)) AS live
"""

LOST = """
SELECT u.id FROM unnest(%s::uuid[], %s::int[]) AS u (id, epoch)
LEFT JOIN runs r ON r.id = u.id WHERE r.id IS NULL OR r.epoch > u.epoch
"""
"""Which of these runs belong to somebody else by now, or were cancelled."""

UNREGISTER = "DELETE FROM workers WHERE name = %s AND incarnation = %s"
