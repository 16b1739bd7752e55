"""What the demo does: publish the template, make an agent, run it on each sample site, check."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import JsonValue
from rich.console import Console

from treadle.platform.client import (
    ApiError,
    AsyncClient,
    Client,
    ClientError,
    Endpoint,
    Run,
    RunStillGoing,
)
from treadle.platform.demo.errors import DemoFailed
from treadle.platform.demo.progress import Watcher, watching
from treadle.platform.demo.recount import holds, recounted, sample_figures
from treadle.platform.demo.rows import TableRow, rows_of
from treadle.platform.demo.service import service_for
from treadle.platform.demo.sites import SampleWeb, Site, served_samples
from treadle.platform.demo.tables import show_rows
from treadle.platform.settings import Settings

TEMPLATE = "keyword-research"
AGENT = "keyword-research-demo"
SEEDS: Mapping[str, Sequence[str]] = {
    "bellacrema": ("espresso machine", "espresso grinder"),
    "fernpath": ("hiking tours", "hut to hut trek"),
    "pillarbook": ("small business crm", "sales pipeline"),
}
SHOWN = 8  # rows of each table
CHECKED = 10  # figures counted again
_LIMIT = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Finished:
    """A site's run and its table."""

    site: Site
    run: Run
    rows: tuple[TableRow, ...]


def drive(settings: Settings, output: Path, console: Console) -> None:
    """Do all of it; raises `DemoFailed` with the reason if anything does not work."""
    with served_samples() as web:
        console.print(f"{len(web.sites)} sample sites are served on loopback")
        with service_for(web, settings) as endpoint:
            console.print(f"the service answers at {endpoint.url}")
            try:
                finished = _research(endpoint, web, console)
                _show(finished, console)
                _download(endpoint, finished, output, console)
            except ClientError as error:
                raise DemoFailed(str(error)) from error
        _recount(finished, console)


def _research(endpoint: Endpoint, web: SampleWeb, console: Console) -> list[Finished]:
    with Client(endpoint.url, endpoint.key) as client:
        text = client.get_template(TEMPLATE).text
        template = client.put_template(TEMPLATE, text)
        console.print(f"published {template.name} {template.version}")
        _make_agent(client)
        console.print(f"made the agent {AGENT}; it runs on {len(web.sites)} sites at once")
        runs = {
            site: client.run_agent(AGENT, _inputs(site)) for site in web.sites if site.name in SEEDS
        }
    names = [site.name for site in runs]
    with watching(console, names, nodes=_nodes(runs)) as watcher:
        ended = asyncio.run(_follow(endpoint, runs, watcher))
    return [Finished(site, run, rows_of(_succeeded(site, run).outputs)) for site, run in ended]


def _make_agent(client: Client) -> None:
    """Make the agent; in a home that saw the demo before it is there already."""
    try:
        client.create_agent(AGENT, TEMPLATE)
    except ApiError as error:
        if error.status != 409:
            raise


def _inputs(site: Site) -> dict[str, JsonValue]:
    return {
        "seeds": list(SEEDS[site.name]),
        "site": f"{site.origin}/",
        "use_search": True,
        "max_keywords": 80,
    }


def _nodes(runs: Mapping[Site, Run]) -> int:
    """Top-level nodes of the template."""
    return max((len(run.steps) for run in runs.values()), default=0)


async def _follow(
    endpoint: Endpoint, runs: Mapping[Site, Run], watcher: Watcher
) -> list[tuple[Site, Run]]:
    """Watch all runs at once until each has ended."""
    async with AsyncClient(endpoint.url, endpoint.key) as client:

        async def follow(site: Site, run: Run) -> tuple[Site, Run]:
            async for event in client.events(run.id):
                watcher.saw(site.name, event)
            return site, await client.wait(run.id, timeout=_LIMIT)

        everything = asyncio.gather(*(follow(site, run) for site, run in runs.items()))
        try:
            return await asyncio.wait_for(everything, _LIMIT.total_seconds())
        except (TimeoutError, RunStillGoing) as error:
            raise DemoFailed(f"the runs were not done after {_LIMIT}") from error


def _succeeded(site: Site, run: Run) -> Run:
    if run.status != "succeeded":
        reason = f"{run.error.path}: {run.error.message}" if run.error else "no reason was given"
        raise DemoFailed(f"the run for {site.name} is {run.status}: {reason}")
    return run


def _show(finished: Sequence[Finished], console: Console) -> None:
    for one in finished:
        show_rows(console, f"{one.site.name} ({one.site.origin})", one.rows, limit=SHOWN)
        notes = (one.run.outputs or {}).get("notes")
        for note in notes if isinstance(notes, list) else []:
            console.print(f"note: {note}", highlight=False)


def _download(
    endpoint: Endpoint, finished: Sequence[Finished], output: Path, console: Console
) -> None:
    """Fetch every artifact through the API and say where it lies."""
    with Client(endpoint.url, endpoint.key) as client:
        for one in finished:
            folder = output / one.site.name
            folder.mkdir(parents=True, exist_ok=True)
            artifacts = client.list_artifacts(one.run.id).items
            endings = {Path(artifact.name).suffix for artifact in artifacts}
            if not {".md", ".csv"} <= endings:
                raise DemoFailed(
                    f"the run for {one.site.name} left {sorted(endings)}, not both files"
                )
            for artifact in artifacts:
                path = folder / Path(artifact.name).name
                path.write_bytes(client.get_artifact(artifact.id))
                console.print(f"wrote {path}", highlight=False, soft_wrap=True)


def _recount(finished: Sequence[Finished], console: Console) -> None:
    """Open pages again and count; one wrong figure fails the demo."""
    rows = [row for one in finished for row in one.rows]
    checked = recounted(sample_figures(rows, size=CHECKED))
    wrong = [(figure, found) for figure, found in checked if not holds(figure, found)]
    console.print(
        f"{len(checked)} figures counted again in the pages: {len(checked) - len(wrong)} right"
    )
    if wrong or len(checked) < CHECKED:
        lines = [
            f"{figure.text!r} {figure.count}x in {figure.zone} of {figure.url}: found {found}x"
            for figure, found in wrong
        ]
        raise DemoFailed("figures do not hold: " + ("; ".join(lines) or "too few to check"))
