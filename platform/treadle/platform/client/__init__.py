"""The REST API as typed Python: `Client` and `AsyncClient`.

```python
with Client("http://127.0.0.1:8700", key="trd_…") as treadle:
    run = treadle.create_run("keyword-research", {"seeds": ["crm"]})
    for event in treadle.events(run.id):
        print(event.type, event.path)
    print(treadle.get_run(run.id).outputs)
```

Each call of the API is one function in `calls`, which builds a `Call`: what to send and how to read
the answer. Both clients only carry calls, so nothing is said twice. What goes wrong is an
`ApiError` with the service's own code and message, or `Unreachable`.
"""

from treadle.platform.client.asynchronous import AsyncClient
from treadle.platform.client.errors import ApiError, ClientError, RunStillGoing, Unreachable
from treadle.platform.client.local import Endpoint, local_endpoint
from treadle.platform.client.models import (
    Agent,
    Approval,
    Artifact,
    Connection,
    Decision,
    Event,
    File,
    Health,
    Key,
    NewKey,
    Page,
    Readiness,
    Run,
    RunError,
    Step,
    Template,
    Trigger,
    Validation,
)
from treadle.platform.client.synchronous import Client
from treadle.platform.client.trigger_models import (
    Batch,
    Delivery,
    Fire,
    Hook,
    HookEvent,
    NextFires,
    Received,
    Redelivered,
    Schedule,
    Webhook,
)

__all__ = [
    "Agent",
    "ApiError",
    "Approval",
    "Artifact",
    "AsyncClient",
    "Batch",
    "Client",
    "ClientError",
    "Connection",
    "Decision",
    "Delivery",
    "Endpoint",
    "Event",
    "File",
    "Fire",
    "Health",
    "Hook",
    "HookEvent",
    "Key",
    "NewKey",
    "NextFires",
    "Page",
    "Readiness",
    "Received",
    "Redelivered",
    "Run",
    "RunError",
    "RunStillGoing",
    "Schedule",
    "Step",
    "Template",
    "Trigger",
    "Unreachable",
    "Validation",
    "Webhook",
    "local_endpoint",
]
