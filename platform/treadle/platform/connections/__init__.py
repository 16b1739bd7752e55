"""Connections: stored, encrypted authorisations, and the vault their secrets lie in."""
