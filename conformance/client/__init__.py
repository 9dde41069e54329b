"""Judging clients: the suite plays the server and the user."""
