"""What a correct server would do, worked out from the spec. No socket, no clock, no verb and no state by name."""
