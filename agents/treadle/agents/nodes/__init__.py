"""Node types: one module each, with its config model. `Node` is their closed union."""

from treadle.agents.nodes.union import NODE_TYPES, Container, Node, node_type

__all__ = ["NODE_TYPES", "Container", "Node", "node_type"]
