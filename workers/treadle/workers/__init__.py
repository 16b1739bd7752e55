"""Worker processes: Celery's side of the doorbell, and the loop that hosts runs."""
