"""The protocol's page, from the spec alone: `python -m tools.docs`. Knows no verb, no state and no code by name."""
