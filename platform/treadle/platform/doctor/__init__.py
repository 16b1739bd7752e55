"""What may be wrong with an installation, and the mend. `checks.CHECKS` lists the questions."""
