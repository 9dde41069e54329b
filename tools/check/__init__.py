"""The model check: all reachable states of a server and a few clients, searched for violations of the properties."""
