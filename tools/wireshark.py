"""How the tools run the programs of Wireshark: with the same settings everywhere, whatever the user's own ones are.

Knows no field, no protocol above TCP, and no dissector.
"""

from __future__ import annotations

import os
from pathlib import Path

# What the figures rest on. Most of it is Wireshark's default, and is stated all the same: a default may change, and the
# Wireshark of a reader may be set in another way.
PREFERENCES = (
    "ip.check_checksum:TRUE",
    "ip.defragment:TRUE",
    "ip.tso_support:TRUE",  # a packet of a sender that leaves segmentation to its network card has no length in IP
    "ipv6.defragment:TRUE",
    "ipv6.tso_support:TRUE",
    "tcp.check_checksum:FALSE",  # a sender that leaves checksums to its network card is recorded with wrong ones
    "tcp.analyze_sequence_numbers:TRUE",
    "tcp.relative_sequence_numbers:TRUE",
    "tcp.default_window_scaling:Not known",
    "tcp.track_bytes_in_flight:TRUE",
    "tcp.bif_seq_based:FALSE",
    "tcp.fastrt_supersedes_ooo:TRUE",
    "tcp.ignore_tcp_timestamps:FALSE",
    "tcp.no_subdissector_on_error:TRUE",  # octets that come again are not read again
    "tcp.desegment_tcp_streams:TRUE",
    "tcp.reassemble_out_of_order:TRUE",  # what comes after a hole is read when the hole is filled
    "tcp.try_heuristic_first:TRUE",  # what a connection says counts for more than its port
)


def options(*more: str) -> list[str]:
    """These preferences and more, `name:value`, as words of a command line; a later one replaces an earlier one."""
    by_name = {preference.partition(":")[0]: preference for preference in (*PREFERENCES, *more)}
    return [word for preference in by_name.values() for word in ("-o", preference)]


def environment(folder: Path) -> dict[str, str]:
    """The environment of a run that sees no settings, profiles, plugins and name files but those in `folder`.

    `folder` may be empty. Wireshark's programs load the plugins of the whole system all the same when they run as root.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WIRESHARK_", "XDG_", "LUA_", "LC_", "G_"))
    }
    own = {
        "HOME": folder,  # .local/lib/wireshark/plugins
        "XDG_CONFIG_HOME": folder,
        "WIRESHARK_CONFIG_DIR": folder / "settings",
        "WIRESHARK_PLUGIN_DIR": folder / "plugins",
        "WIRESHARK_EXTCAP_DIR": folder / "extcap",
    }
    return kept | {name: str(path) for name, path in own.items()} | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
