"""The tools on a machine whose Wireshark is set in another way: the same figures, and no plugin stops them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pychat.spec import Spec
from tools.capture import session
from tools.dissector.script import script
from tools.wireshark import environment, options

from .conftest import ROOT, need

CAPTURES = ROOT / "tests" / "data" / "captures"

# What a user may have set: each of these changes what tshark shows of a capture of the chat.
SETTINGS = {
    "preferences": """\
tcp.analyze_sequence_numbers: FALSE
tcp.relative_sequence_numbers: FALSE
tcp.desegment_tcp_streams: FALSE
tcp.check_checksum: FALSE
tcp.no_subdissector_on_error: FALSE
tcp.default_window_scaling: 3
ip.defragment: FALSE
ip.check_checksum: FALSE
nameres.network_name: TRUE
nameres.transport_name: TRUE
gui.column.format: "No.", "%m"
""",
    "disabled_protos": "tcp\nipv6\narp\n",
    "heuristic_protos": "tls_tcp,0\n",
    "decode_as_entries": "decode_as_entry: tcp.port,{port},HTTP,(none)\n",
    "hosts": "10.82.1.2 alice\n",
}
OLDER = 'local old = Proto("{0}", "{1}")\nfunction old.dissector() end\nDissectorTable.get("tcp.port"):add({2}, old)\n'


@pytest.fixture
def hostile(spec: Spec, tmp_path: Path) -> dict[str, str]:
    """The environment of a user with these settings, two broken plugins and an older copy of the dissector."""
    home = tmp_path / "home"
    plugins, settings = home / ".local" / "lib" / "wireshark" / "plugins", home / ".config" / "wireshark"
    for folder in (plugins, settings, settings / "plugins"):
        folder.mkdir(parents=True)
    (plugins / "broken.lua").write_text("no Lua at all (\n")
    (settings / "plugins" / "broken.lua").write_text('error("broken")\n')
    (plugins / "older.lua").write_text(OLDER.format(spec.protocol, spec.title, spec.transport.port))
    for name, text in SETTINGS.items():
        (settings / name).write_text(text.format(port=spec.transport.port))
    ours = {"HOME": home, "XDG_CONFIG_HOME": home / ".config", "WIRESHARK_CONFIG_DIR": settings}
    return os.environ | {name: str(path) for name, path in ours.items()} | {"LC_ALL": "C", "TZ": "Asia/Tokyo"}


def run(*words: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, cwd=ROOT, env=env)


@pytest.mark.parametrize("name", ["chat.pcapng", "loopback6.pcap"])
def test_the_users_settings_change_no_figure_of_a_report(hostile: dict[str, str], name: str, tmp_path: Path) -> None:
    need("tshark")
    found = []
    for number, env in enumerate((None, hostile)):
        out = tmp_path / f"{number}.json"
        done = run(sys.executable, "-m", "tools.report", "--quiet", CAPTURES / name, "--json", out, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        found.append(out.read_text())
    assert found[0] == found[1]


def test_these_settings_do_change_what_tshark_shows(hostile: dict[str, str], spec: Spec, tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    dissector = tmp_path / "mine.lua"
    dissector.write_text(script(spec))
    capture = str(CAPTURES / "chat.pcapng")
    words = [need("tshark"), "-X", f"lua_script:{dissector}", "-r", capture, "-Y", spec.protocol]
    assert run(*words, env=environment(tmp_path / "none")).stdout
    assert not run(*words, env=hostile).stdout


def test_a_recording_finds_its_frames_whatever_the_user_has_set(
    hostile: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The comments of a recording stand at the frames that a filter finds."""
    need("tshark")
    capture, syn = CAPTURES / "chat.pcapng", "tcp.seq == 0 && tcp.flags.ack == 0"
    found = session._first(capture, syn, {}, tmp_path)
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    assert session._first(capture, syn, {}, tmp_path) == found


def test_the_dissector_is_installed_beside_a_broken_plugin(hostile: dict[str, str]) -> None:
    """In the user's own folders, over an older copy of the same name."""
    need("tshark")
    done = run(sys.executable, "-m", "tools.dissector", "--install", env=hostile)
    assert done.returncode == 0, done.stderr
    home = Path(hostile["HOME"])
    assert list(home.glob("**/plugins/pychat.lua"))
    assert list(home.glob(".config/wireshark/profiles/*/preferences"))


def test_a_dissector_installed_for_all_users_is_named(spec: Spec, tmp_path: Path) -> None:
    """It cannot be kept away from root; the report says where it is, in a line."""
    need("tshark")
    program = tmp_path / "tshark"
    older = tmp_path / "older.lua"
    older.write_text(OLDER.format(spec.protocol, spec.title, spec.transport.port))
    program.write_text(f'#!/bin/sh\nexec {shutil.which("tshark")} -X "lua_script:{older}" "$@"\n')
    program.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = (sys.executable, "-m", "tools.report", "--quiet", CAPTURES / "chat.pcapng", "--json", tmp_path / "out")
    done = run(*words, env=env)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "Global Lua Plugins" in done.stderr


def test_the_preferences_are_those_of_this_tshark(tmp_path: Path) -> None:
    """A misspelt one would be an error of each run."""
    need("tshark")
    done = run("tshark", *options(), "-r", CAPTURES / "chat.pcapng", "-c", "1", env=environment(tmp_path))
    assert done.returncode == 0, done.stderr
