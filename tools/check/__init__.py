"""The model check: every state that a server and a few clients can come to, searched for what must not be."""
