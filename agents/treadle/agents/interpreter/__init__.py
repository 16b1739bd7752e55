"""The interpreter: runs a compiled template over ports, without barriers, from a ledger by path.

```python
from treadle.agents.interpreter import Gate, compile_graph
from treadle.agents.interpreter.execution import execute

graph = compile_graph(template, tools)             # once per template version; keep it
outcome = await execute(graph, facts, inputs=…, connections=…, ports=…, gate=Gate())
```

The engine keeps the gate and closes it to drain, pause or cancel. `execution` is not imported here:
it brings langgraph along (30 MB), which only who runs graphs needs. Read it, then `bodies.py` and
`lifecycle.py`; what a node type sees is `treadle.agents.steps`.
"""

from treadle.agents.interpreter.compilation import compile_graph
from treadle.agents.interpreter.errors import NodeTypeNotRunnable
from treadle.agents.steps.gate import Closed, Gate
from treadle.agents.steps.graph import Graph

__all__ = ["Closed", "Gate", "Graph", "NodeTypeNotRunnable", "compile_graph"]
