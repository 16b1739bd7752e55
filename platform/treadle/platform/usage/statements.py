"""Statements of the engine's side of usage."""

FOLD = """
WITH gone AS (
    DELETE FROM usage_entries WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM usage_entries LIMIT %s FOR UPDATE SKIP LOCKED
    ))
    RETURNING *
), days AS (
    SELECT workspace_id, (at AT TIME ZONE 'UTC')::date AS day, agent, template, model,
        sum(runs) AS runs, sum(steps) AS steps, sum(model_calls) AS model_calls,
        sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
        sum(cached_tokens) AS cached_tokens, sum(cost_usd) AS cost_usd, count(*) AS entries
    FROM gone GROUP BY 1, 2, 3, 4, 5
), kept AS (
    INSERT INTO usage_daily AS d (
        workspace_id, day, agent, template, model, runs, steps, model_calls,
        input_tokens, output_tokens, cached_tokens, cost_usd
    )
    SELECT workspace_id, day, agent, template, model, runs, steps, model_calls,
        input_tokens, output_tokens, cached_tokens, cost_usd
    FROM days ORDER BY workspace_id, day, agent, template, model
    ON CONFLICT (workspace_id, day, agent, template, model) DO UPDATE SET
        runs = d.runs + excluded.runs,
        steps = d.steps + excluded.steps,
        model_calls = d.model_calls + excluded.model_calls,
        input_tokens = d.input_tokens + excluded.input_tokens,
        output_tokens = d.output_tokens + excluded.output_tokens,
        cached_tokens = d.cached_tokens + excluded.cached_tokens,
        cost_usd = CASE WHEN d.cost_usd IS NULL AND excluded.cost_usd IS NULL THEN NULL
            ELSE coalesce(d.cost_usd, 0) + coalesce(excluded.cost_usd, 0) END
)
SELECT coalesce(sum(entries), 0)::int AS entries FROM days
"""
"""Move entries into days. Several processes may: each takes other rows, in one order of days."""
