"""The service: REST API, database, the durable side of runs, the command line."""
