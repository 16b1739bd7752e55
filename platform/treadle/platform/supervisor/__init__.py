"""`treadle up`: PostgreSQL, Valkey, API, worker, scheduler and model as children of one process.

Read `up` first: it says what is started in what order. `keeper` keeps one child alive, `process`
starts a child and ends it with all it started itself, `record` is what others find under HOME.
"""
