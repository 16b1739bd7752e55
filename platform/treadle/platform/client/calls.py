"""Every call of the API that the clients offer, by subject, in the order of the API's table."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from pydantic import JsonValue, TypeAdapter

from treadle.platform.client.call import (
    Call,
    body_of,
    file_bytes,
    given,
    nothing,
    once,
    page_of,
)
from treadle.platform.client.models import (
    Agent,
    Approval,
    Artifact,
    Connection,
    Decision,
    File,
    Health,
    Key,
    NewKey,
    Page,
    Readiness,
    Run,
    Step,
    Template,
    Validation,
)

Values = Mapping[str, JsonValue]
_YAML = {"Content-Type": "application/yaml"}
_ANY_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
_SEND_FILE_S = 300.0


def _at(*parts: str) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)


# Templates


def list_templates(*, limit: int = 50, cursor: str | None = None) -> Call[Page[Template]]:
    """List the gallery: bundled templates and own ones."""
    query = {"limit": limit, "cursor": cursor}
    return Call("GET", "/v1/templates", page_of(Template), query=query)


def get_template(name: str, *, version: str | None = None) -> Call[Template]:
    """Get a template, the newest version unless one is named."""
    return Call("GET", _at("v1", "templates", name), body_of(Template), query={"version": version})


def put_template(name: str, text: str, *, draft: bool = False) -> Call[Template]:
    """Publish a template's text, or keep it as the draft."""
    path = _at("v1", "templates", name)
    query = {"draft": "true" if draft else None}
    content = text.encode()
    return Call("PUT", path, body_of(Template), query=query, content=content, headers=_YAML)


def publish_template(name: str) -> Call[Template]:
    """Make the draft a version."""
    path = _at("v1", "templates", name, "publish")
    return Call("POST", path, body_of(Template), headers=once())


def roll_back_template(name: str, to: str) -> Call[Template]:
    """Publish an earlier version's text again, under the next free number."""
    path = _at("v1", "templates", name, "rollback")
    return Call("POST", path, body_of(Template), json={"to": to}, headers=once())


def delete_template(name: str) -> Call[None]:
    """Delete a template that no agent uses."""
    return Call("DELETE", _at("v1", "templates", name), nothing)


def validate_template(text: str) -> Call[Validation]:
    """Check a template's text; nothing is stored."""
    path = "/v1/templates/validate"
    return Call("POST", path, body_of(Validation), content=text.encode(), headers=_YAML)


# Agents


def create_agent(
    name: str,
    template: str | Values,
    *,
    version: str | None = None,
    settings: Values | None = None,
    connections: Mapping[str, str] | None = None,
    triggers: bool | Sequence[Values] = False,
) -> Call[Agent]:
    """Make an agent of a template; `triggers` are all it proposes, or a list as it writes them."""
    taken: JsonValue = triggers if isinstance(triggers, bool) else [dict(one) for one in triggers]
    body = given(
        name=name,
        template=_plain(template),
        version=version,
        settings=_plain(settings),
        connections=_plain(connections),
        triggers=taken or None,
    )
    return Call("POST", "/v1/agents", body_of(Agent), json=body, headers=once())


def list_agents(*, limit: int = 50, cursor: str | None = None) -> Call[Page[Agent]]:
    """List the agents."""
    query = {"limit": limit, "cursor": cursor}
    return Call("GET", "/v1/agents", page_of(Agent), query=query)


def get_agent(agent: str) -> Call[Agent]:
    """Get an agent by id or name."""
    return Call("GET", _at("v1", "agents", agent), body_of(Agent))


def update_agent(agent: str, changes: Values) -> Call[Agent]:
    """Change some fields of an agent."""
    return Call("PATCH", _at("v1", "agents", agent), body_of(Agent), json=dict(changes))


def delete_agent(agent: str) -> Call[None]:
    """Delete an agent; its runs stay."""
    return Call("DELETE", _at("v1", "agents", agent), nothing)


# Runs


def run_agent(
    agent: str,
    inputs: Values,
    *,
    run_at: datetime | None = None,
    wait_s: int | None = None,
) -> Call[Run]:
    """Start a run of an agent; with `wait_s` the answer comes when it ended, if that is sooner."""
    body = given(inputs=dict(inputs), run_at=_moment(run_at), wait_s=wait_s)
    path = _at("v1", "agents", agent, "runs")
    return Call("POST", path, body_of(Run), json=body, headers=once(), timeout_s=_patience(wait_s))


def create_run(
    template: str | Values,
    inputs: Values,
    *,
    connections: Mapping[str, str] | None = None,
    settings: Values | None = None,
    run_at: datetime | None = None,
    wait_s: int | None = None,
) -> Call[Run]:
    """Start a run of a template: its name, name@range, text, or the whole as an object."""
    body = given(
        template=_plain(template),
        inputs=dict(inputs),
        connections=_plain(connections),
        settings=_plain(settings),
        run_at=_moment(run_at),
        wait_s=wait_s,
    )
    timeout_s = _patience(wait_s)
    return Call("POST", "/v1/runs", body_of(Run), json=body, headers=once(), timeout_s=timeout_s)


def list_runs(
    *,
    agent: str | None = None,
    status: str | None = None,
    template: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Call[Page[Run]]:
    """List runs, newest first."""
    query = {"agent": agent, "status": status, "template": template}
    return Call("GET", "/v1/runs", page_of(Run), query={**query, "limit": limit, "cursor": cursor})


def get_run(run_id: str) -> Call[Run]:
    """Get a run."""
    return Call("GET", _at("v1", "runs", run_id), body_of(Run))


def list_steps(
    run_id: str,
    *,
    path: str | None = None,
    status: str | None = None,
    limit: int = 200,
    cursor: str | None = None,
) -> Call[Page[Step]]:
    """List a run's steps; `path` names one, or all below it."""
    query = {"path": path, "status": status, "limit": limit, "cursor": cursor}
    return Call("GET", _at("v1", "runs", run_id, "steps"), page_of(Step), query=query)


def get_value(run_id: str, ref: str) -> Call[JsonValue]:
    """Get a large value by the `$ref` that stands for it."""
    path = _at("v1", "runs", run_id, "values", ref)
    return Call("GET", path, lambda response: _ANY_JSON.validate_json(response.content))


def get_cassette(run_id: str) -> Call[bytes]:
    """Get a run that has ended as a redacted cassette, as `treadle test --cassette` reads it."""
    path = _at("v1", "runs", run_id, "cassette")
    return Call("GET", path, file_bytes, timeout_s=_SEND_FILE_S)


def cancel_run(run_id: str) -> Call[Run]:
    """Cancel a run."""
    return Call("POST", _at("v1", "runs", run_id, "cancel"), body_of(Run), headers=once())


def pause_run(run_id: str) -> Call[Run]:
    """Let a run's running steps finish, and nothing else begin."""
    return Call("POST", _at("v1", "runs", run_id, "pause"), body_of(Run), headers=once())


def resume_run(run_id: str) -> Call[Run]:
    """Let a paused run go on."""
    return Call("POST", _at("v1", "runs", run_id, "resume"), body_of(Run), headers=once())


def settle_step(run_id: str, step: str, verdict: str, *, output: JsonValue = None) -> Call[Run]:
    """Say of an `unknown` step that it is `done` (with this output), to `retry`, or to `fail`."""
    body: dict[str, JsonValue] = {"as": verdict}
    if output is not None:
        body["output"] = output
    path = _at("v1", "runs", run_id, "steps", step, "settle")
    return Call("POST", path, body_of(Run), json=body, headers=once())


def list_approvals(*, limit: int = 50, cursor: str | None = None) -> Call[Page[Approval]]:
    """List what waits for a decision, the oldest first."""
    query = {"limit": limit, "cursor": cursor}
    return Call("GET", "/v1/approvals", page_of(Approval), query=query)


def answer_approval(approval_id: str, action: str, *, form: Values | None = None) -> Call[Decision]:
    """Decide; the first answer counts."""
    body: dict[str, JsonValue] = {"action": action, "form": dict(form or {})}
    path = _at("v1", "approvals", approval_id)
    return Call("POST", path, body_of(Decision), json=body, headers=once())


def call_back(token: str, payload: JsonValue = None) -> Call[None]:
    """End a wait for a callback; the token stands among what its run waits for."""
    return Call("POST", _at("v1", "callbacks", token), nothing, json=payload)


def list_artifacts(run_id: str) -> Call[Page[Artifact]]:
    """List the files that a run made."""
    return Call("GET", _at("v1", "runs", run_id, "artifacts"), page_of(Artifact))


def get_artifact(artifact_id: str) -> Call[bytes]:
    """Get an artifact's content."""
    path = _at("v1", "artifacts", artifact_id)
    return Call("GET", path, file_bytes, timeout_s=_SEND_FILE_S)


# Files, connections, keys, health


def upload_file(
    name: str, content: bytes, *, media_type: str = "application/octet-stream"
) -> Call[File]:
    """Upload a file, for inputs of `format: file`."""
    return Call(
        "POST",
        "/v1/files",
        body_of(File),
        file=(name, content, media_type),
        headers=once(),
        timeout_s=_SEND_FILE_S,
    )


def get_file(file_id: str) -> Call[bytes]:
    """Get an uploaded file's content."""
    return Call("GET", _at("v1", "files", file_id), file_bytes, timeout_s=_SEND_FILE_S)


def create_connection(type_: str, name: str, fields: Values) -> Call[Connection]:
    """Store an authorisation, such as `http` with `auth`, `secret` and `hosts`."""
    body: dict[str, JsonValue] = {"type": type_, "name": name, **fields}
    return Call("POST", "/v1/connections", body_of(Connection), json=body, headers=once())


def list_connections(*, limit: int = 50, cursor: str | None = None) -> Call[Page[Connection]]:
    """List the stored authorisations, without their secrets."""
    query = {"limit": limit, "cursor": cursor}
    return Call("GET", "/v1/connections", page_of(Connection), query=query)


def delete_connection(connection_id: str) -> Call[None]:
    """Forget an authorisation."""
    return Call("DELETE", _at("v1", "connections", connection_id), nothing)


def create_key(
    name: str, *, scopes: Sequence[str] | None = None, expires_at: datetime | None = None
) -> Call[NewKey]:
    """Make an API key, with all scopes of the one that asks unless some are named."""
    wanted: JsonValue = None if scopes is None else list(scopes)
    body = given(name=name, scopes=wanted, expires_at=_moment(expires_at))
    return Call("POST", "/v1/keys", body_of(NewKey), json=body, headers=once())


def list_keys(*, limit: int = 50, cursor: str | None = None) -> Call[Page[Key]]:
    """List the API keys, without the keys themselves."""
    query = {"limit": limit, "cursor": cursor}
    return Call("GET", "/v1/keys", page_of(Key), query=query)


def delete_key(key_id: str) -> Call[None]:
    """Delete a key; it stops working within a second."""
    return Call("DELETE", _at("v1", "keys", key_id), nothing)


def get_health() -> Call[Health]:
    """Tell whether the API process answers."""
    return Call("GET", "/healthz", body_of(Health))


def get_readiness() -> Call[Readiness]:
    """Tell whether the service can work; one that cannot is an answer too, not an error."""
    return Call("GET", "/readyz", body_of(Readiness), accepts=frozenset({503}))


def _patience(wait_s: int | None) -> float:
    return 30.0 + (wait_s or 0)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _plain(value: str | Mapping[str, JsonValue] | Mapping[str, str] | None) -> JsonValue:
    return dict(value) if isinstance(value, Mapping) else value
