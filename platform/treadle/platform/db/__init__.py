"""PostgreSQL: tables' metadata, the two roles, transactions, migrations.

Read `database` first: every transaction of the service is opened there, under one of two roles.
"""
