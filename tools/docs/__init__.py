"""The protocol's page, made from the spec alone: `python -m tools.docs`. Knows no verb, state or code of any protocol."""
