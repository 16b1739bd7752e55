"""`Idempotency-Key`: a POST that is sent again is answered again, and creates nothing twice.

The row of a key is written in the transaction of what it creates; it holds the answer, sealed,
because answers may carry secrets that are shown once. Routes get this with their `Transaction`;
those that create by other means ask for `Repeatable` (see `routing`).
"""
