"""The sections of the report, a module for each: its function `sections` makes them of the findings."""
