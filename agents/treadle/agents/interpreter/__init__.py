"""The interpreter: runs a compiled template over ports, without barriers, from a ledger by path.

```python
graph = compile_graph(template, tools)             # once per template version; keep it
outcome = await execute(graph, facts, inputs=…, connections=…, ports=…, gate=Gate())
```

The engine keeps the gate and closes it to drain, pause or cancel. Read `execution.py`, then
`bodies.py` and `lifecycle.py`; what a node type sees is `treadle.agents.steps`.
"""

from treadle.agents.interpreter.compilation import compile_graph
from treadle.agents.interpreter.errors import NodeTypeNotRunnable
from treadle.agents.interpreter.execution import execute
from treadle.agents.steps.gate import Closed, Gate
from treadle.agents.steps.graph import Graph

__all__ = ["Closed", "Gate", "Graph", "NodeTypeNotRunnable", "compile_graph", "execute"]
