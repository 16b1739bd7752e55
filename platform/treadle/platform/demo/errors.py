"""What can go wrong in the demo.

DemoFailed: the demo did not do what it shows; the message says what to do.
"""


class DemoFailed(Exception):
    """The demo ends with exit code 1 and this reason."""
