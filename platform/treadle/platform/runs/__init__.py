"""Runs as people and programs see them: started, looked at, followed, cancelled.

`service` accepts runs, `views` folds a run's log into what the API shows, `feeds` follows a log as
it grows. What happens to a run in between is the engine's business.
"""
