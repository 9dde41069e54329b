"""The protocol's page, made from the spec: `python -m tools.docs`. Knows no verb, no state and no code by name."""
