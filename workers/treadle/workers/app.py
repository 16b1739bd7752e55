"""The Celery object and its one task."""

from collections.abc import Callable, Sequence

from celery import Celery

from treadle.platform.jobs import ADVANCE_RUNS, BROKER_OPTIONS, QUEUE


class Door:
    """Where bells arrive. Until a host answers nothing happens: the sweep finds those runs."""

    def __init__(self) -> None:
        self.answer: Callable[[Sequence[str]], None] | None = None

    def knock(self, run_ids: Sequence[str]) -> None:
        """Pass ids on to the host of this process."""
        if self.answer is not None:
            self.answer(run_ids)


door = Door()

app = Celery("treadle", set_as_current=False)
app.conf.update(
    accept_content=["json"],
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # Acknowledged on arrival, and nothing is kept of a message until then: SQL knows the work.
    broker_transport_options=BROKER_OPTIONS,
    enable_utc=True,
    result_backend=None,
    task_acks_late=False,
    task_create_missing_queues=True,
    task_default_queue=QUEUE,
    task_ignore_result=True,
    task_serializer="json",
    task_store_errors_even_if_ignored=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
    worker_send_task_events=False,
)


@app.task(name=ADVANCE_RUNS, ignore_result=True)
def ring(run_ids: list[str]) -> None:
    """Wake these runs here; a second ring, or one for a run owned elsewhere, changes nothing."""
    door.knock(run_ids)
