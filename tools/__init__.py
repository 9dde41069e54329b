"""The tools of the project; each is run as `python -m tools.NAME`."""

from pychat.startup import require

require("tools")
