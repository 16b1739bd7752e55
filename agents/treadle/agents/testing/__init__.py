"""`treadle test`: a template's own tests, run by the real interpreter without the outside.

`run_tests(template, tools)` gives a `Report`. Mocks take the place of nodes (`stand_ins.py`), the
ledger lies in memory and time is virtual (`surroundings.py`), and what is not met is explained
(`explanations.py`). Tools that reach nothing outside run for real.
"""

from treadle.agents.testing.junit import junit_xml
from treadle.agents.testing.reports import Problem, Report, Verdict
from treadle.agents.testing.trials import run_tests

__all__ = ["Problem", "Report", "Verdict", "junit_xml", "run_tests"]
