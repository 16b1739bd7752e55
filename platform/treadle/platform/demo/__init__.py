"""`treadle demo`: keyword research on sample sites, through the public API alone.

`command` is the command line, `drive` what happens in what order. `sites` serves the sample sites
and `search` a small search engine over them, both on loopback; `service` starts and stops a Treadle
of its own; `recount` opens fetched pages again and counts.
"""
