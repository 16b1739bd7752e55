"""Which calls are written down, and under what names."""

READING = frozenset({"GET", "HEAD", "OPTIONS"})

UNWRITTEN = frozenset(
    {
        # What people do with runs all day has a log of its own, and is no change of the workspace.
        "/v1/agents/{agent}/runs",
        "/v1/agents/{agent}/plan",
        "/v1/runs",
        "/v1/runs/{run}/cancel",
        "/v1/runs/{run}/pause",
        "/v1/runs/{run}/resume",
        "/v1/runs/{run}/retry",
        "/v1/approvals/{approval}",
        "/v1/files",
        # These only look.
        "/v1/templates/validate",
        "/v1/knowledge/{kb}/search",
        "/v1/openai/chat/completions",
    }
)


def is_written(method: str, path: str) -> bool:
    """Whether a call of this route is written down: all that change something, but a few."""
    return method not in READING and path not in UNWRITTEN


def action_name(path: str, endpoint: str) -> str:
    """`keys.create` for the route function `create` under `/v1/keys`.

    What is made under something else has its own name: `batches.create`.
    """
    parts = [part for part in path.split("/") if part and not part.startswith("{")]
    subject = parts[-1] if endpoint == "create" else parts[min(1, len(parts) - 1)]
    return f"{subject}.{endpoint}"
