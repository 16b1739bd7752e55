"""Who changed what in a workspace: append-only, each row chained to the one before.

Every call that changes something is written down where routes are handled (`routing`), in the
transaction of the change where the route has one; `policy` names the calls that are not. Rows hold
no payload. The chain is keyed with the installation's secret, so that who holds the database alone
can neither change a row nor forge one; a cut-off end shows in the service's log, which has each
row's number and digest.
"""
