"""The template language `treadle: 1`: loading with positions, checking, schema, inputs."""
