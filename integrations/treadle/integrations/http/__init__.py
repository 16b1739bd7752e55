"""Any HTTP API as a tool."""

from treadle.integrations.http.request import send_request

TOOLS = (send_request,)
