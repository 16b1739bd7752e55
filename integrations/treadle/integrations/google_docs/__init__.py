"""Google Docs: documents made from Markdown or HTML in the bound account."""

from treadle.integrations.google_docs.create_document import create_document

TOOLS = (create_document,)
