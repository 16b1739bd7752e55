"""`python -m treadle.platform.cli`: the command line where its script is not on the path."""

from treadle.platform.cli.main import main

main()
