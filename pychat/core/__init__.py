"""The protocol's core, made from the spec. No socket, no thread, no file and no clock: octets and times come in."""
