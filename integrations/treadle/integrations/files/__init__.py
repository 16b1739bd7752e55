"""Files for people: tables as CSV and XLSX, texts as Markdown."""

from treadle.integrations.files.markdown import write_markdown
from treadle.integrations.files.table import write_table

TOOLS = (write_table, write_markdown)
