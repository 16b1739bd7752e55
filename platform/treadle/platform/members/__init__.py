"""Members of a workspace: people, each with a role that bounds what their keys may do.

The first member of a workspace is its owner. A key belongs to the member who made it; `run.owner`
is the address of the member who made the agent that was started, or else the key that started it.
"""
