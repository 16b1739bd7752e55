"""Runs batches beside the server: after all other requests, and on after a restart."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from time import time

from pydantic import JsonValue

from treadle.model_runtime.errors import BadRequest, EngineStopped, Overloaded, RequestError
from treadle.model_runtime.server.answering import Answerer
from treadle.model_runtime.server.batches import (
    ENDED,
    Batch,
    BatchEnded,
    BatchNotFound,
    BatchRequest,
    BatchStatus,
    BatchStore,
)
from treadle.model_runtime.server.errors import error_body
from treadle.model_runtime.server.files import FileStore
from treadle.model_runtime.server.generation import Caller
from treadle.model_runtime.server.lines import Answers, Line, Problem, problems_of, read_line

log = logging.getLogger(__name__)
AT_ONCE = 4  # lines in the engine: enough to fill steps, few enough to leave others room
FAILED: JsonValue = {
    "error": {
        "message": "the server failed; its log says how",
        "type": "server_error",
        "param": None,
        "code": "internal",
    }
}


class Batching:
    """All batches of one server; their lines share `AT_ONCE` places in turn."""

    def __init__(self, answering: Answerer, files: FileStore, folder: Path) -> None:
        self._answering, self._files, self._folder = answering, files, folder
        self._store = BatchStore(folder)
        self._batches: dict[str, Batch] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    def start(self) -> None:
        """Go on with what an earlier server has begun."""
        for batch in self._store.all():
            self._batches[batch.id] = batch
            if batch.status not in ENDED:
                self._begin(batch)

    async def stop(self) -> None:
        """Leave the rest to the next server."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def create(self, body: BatchRequest, *, owner: str) -> Batch:
        """Begin a batch.

        Raises:
            FileNotFound: There is no such input.
            BadRequest: The file was sent for something else.
        """
        found = self._files.get(body.input_file_id, owner=owner)
        if found.purpose != "batch":
            raise BadRequest("the file's purpose is not 'batch'", param="input_file_id")
        batch = self._store.create(body, owner=owner)
        self._batches[batch.id] = batch
        self._begin(batch)
        return batch

    def get(self, batch_id: str, *, owner: str) -> Batch:
        """Raises `BatchNotFound` for another owner's too."""
        batch = self._batches.get(batch_id)
        if batch is None or batch.owner != owner:
            raise BatchNotFound(batch_id)
        return batch

    def all(self, *, owner: str) -> Sequence[Batch]:
        """An owner's, newest first."""
        return [batch for batch in reversed(self._batches.values()) if batch.owner == owner]

    def cancel(self, batch_id: str, *, owner: str) -> Batch:
        """Stop it; what is answered is kept. Raises `BatchEnded` if nothing is left to stop."""
        batch = self.get(batch_id, owner=owner)
        if batch.status in ENDED or batch.status is BatchStatus.FINALIZING:
            raise BatchEnded(batch_id, batch.status)
        if batch.status is not BatchStatus.CANCELLING:
            batch.turn(BatchStatus.CANCELLING)
            self._store.save(batch)
            self._tasks[batch_id].cancel()
        return batch

    def _begin(self, batch: Batch) -> None:
        task = asyncio.create_task(self._run(batch), name=batch.id)
        self._tasks[batch.id] = task
        task.add_done_callback(lambda _: self._ended(batch))

    def _ended(self, batch: Batch) -> None:
        """Also of a task that was cancelled before it began."""
        self._tasks.pop(batch.id, None)
        if batch.status is BatchStatus.CANCELLING:
            self._finish(batch, BatchStatus.CANCELLED)

    async def _run(self, batch: Batch) -> None:
        """One batch from where it stands to its end, unless the server ends first."""
        try:
            await self._advance(batch)
        except EngineStopped:
            log.info("batch.interrupted id=%s", batch.id)
        # The edge of the task: a batch whose files cannot be read or written says so.
        except Exception as error:
            log.exception("batch.failed id=%s", batch.id)
            self._fail(batch, [{"code": "internal", "message": str(error), "line": None}])

    async def _advance(self, batch: Batch) -> None:
        if batch.status is BatchStatus.VALIDATING and not await self._is_valid(batch):
            return
        if batch.status is BatchStatus.IN_PROGRESS:
            try:
                async with asyncio.timeout(max(batch.expires_at - time(), 0)):
                    await self._answer_all(batch)
            except TimeoutError:
                self._finish(batch, BatchStatus.EXPIRED)
                return
            batch.turn(BatchStatus.FINALIZING)
            self._store.save(batch)
        if batch.status is BatchStatus.FINALIZING:
            self._finish(batch, BatchStatus.COMPLETED)

    async def _is_valid(self, batch: Batch) -> bool:
        lines = self._files.lines(batch.input_file_id)
        problems: list[Problem]
        try:
            batch.total, problems = await asyncio.to_thread(problems_of, lines, batch.endpoint)
        except (BadRequest, FileNotFoundError) as error:
            problems = [{"code": "invalid_file", "message": str(error), "line": None}]
        if problems:
            self._fail(batch, problems)
            return False
        batch.turn(BatchStatus.IN_PROGRESS)
        self._store.save(batch)
        return True

    def _fail(self, batch: Batch, problems: list[Problem]) -> None:
        batch.errors = problems
        batch.turn(BatchStatus.FAILED)
        self._store.save(batch)

    async def _answer_all(self, batch: Batch) -> None:
        """Ask every line that has no answer yet."""
        answers = Answers(self._folder, batch.id)
        done, batch.completed, batch.failed = await asyncio.to_thread(answers.recover)
        lines = (
            line
            for line in map(read_line, self._files.lines(batch.input_file_id))
            if line.custom_id not in done
        )
        workers = [
            asyncio.create_task(self._answer_some(batch, lines, answers)) for _ in range(AT_ONCE)
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _answer_some(self, batch: Batch, lines: Iterator[Line], answers: Answers) -> None:
        caller = Caller(batch.owner, background=True)
        for line in lines:
            async with self._places:
                status, body = await self._answer(batch.endpoint, line, caller)
            answers.add(line.custom_id, status, body)
            if status < HTTPStatus.BAD_REQUEST:
                batch.completed += 1
            else:
                batch.failed += 1

    async def _answer(self, path: str, line: Line, caller: Caller) -> tuple[int, JsonValue]:
        """One line's answer, or the error in its place; a full queue is waited for."""
        while True:
            try:
                return HTTPStatus.OK, await self._answering.by_path(path, line.body, caller)
            except Overloaded as error:
                await asyncio.sleep(error.retry_after_s)
            except EngineStopped:
                raise
            except RequestError as error:
                return error.status, error_body(error)
            # The edge of the line, as of a request.
            except Exception:
                log.exception("batch.line_failed custom_id=%s", line.custom_id)
                return HTTPStatus.INTERNAL_SERVER_ERROR, FAILED

    def _finish(self, batch: Batch, status: BatchStatus) -> None:
        """Turn the answers into files, then say how it ended, then drop the answers."""
        answers = Answers(self._folder, batch.id)
        batch.output_file_id = self._publish(batch, answers.good)
        batch.error_file_id = self._publish(batch, answers.bad)
        batch.turn(status)
        self._store.save(batch)
        answers.drop()

    def _publish(self, batch: Batch, written: Path) -> str | None:
        if not written.exists():
            return None
        with written.open("rb") as content:
            found = self._files.add(
                content, owner=batch.owner, filename=written.name, purpose="batch_output"
            )
        return found.id
