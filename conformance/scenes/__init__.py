"""The few cases that no script can tell: functions that use a worker's server."""
