"""`file.markdown`: a text as a Markdown file."""

from pydantic import Field

from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.files.artifact import FILE_NAME, Artifact


class MarkdownParams(Params):
    """The text and the file's name, without ending."""

    text: str
    name: str = Field(default="report", pattern=FILE_NAME)


class MarkdownFile(Result):
    """The stored file."""

    artifact: Artifact


@tool("file.markdown", effect=Effect.READ, reads_untrusted=False)
async def write_markdown(ctx: ToolContext, params: MarkdownParams) -> MarkdownFile:
    """Keep a text as a Markdown file of the run."""
    content = params.text if params.text.endswith("\n") else params.text + "\n"
    ref = await ctx.artifacts.put(
        f"{params.name.removesuffix('.md')}.md", content.encode(), media_type="text/markdown"
    )
    return MarkdownFile(artifact=Artifact.of(ref))
