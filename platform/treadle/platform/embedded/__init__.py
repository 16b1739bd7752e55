"""PostgreSQL and Valkey from Python wheels, for an installation that brings no databases.

Read `postgres` and `valkey` first: each says where its data lies, prepares it, and describes the
server as a `Program`. The supervisor runs programs; nothing here starts one that stays.
"""
