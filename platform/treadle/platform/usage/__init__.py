"""What was used: tokens, cost, runs and steps by day, agent, template and model.

Workers write what a commit used in that commit (`tally` counts, `usage_entries` takes the rows);
housekeeping folds those into one row a day (`usage_daily`). Reading adds both, so it is never
late. Nothing here reads logs of runs, and nothing is lost when they are dropped.
"""
