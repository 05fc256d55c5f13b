"""What is generated from the table: complete, committed, and known when stale."""

from __future__ import annotations

import subprocess
import sys

import descant.plugin_bridge as package
from descant.plugin_bridge import printing, wire


def test_the_committed_files_are_what_the_table_says(capsys):
    assert printing.main(["--check"]) == 0


def test_a_stale_file_is_named(tmp_path, monkeypatch, capsys):
    copy = tmp_path / "protocol.md"
    copy.write_text(printing.page().replace("u8", "u9"), "utf-8")
    monkeypatch.setattr(printing, "_COMMITTED", ((copy, printing.page),))
    assert printing.main(["--check"]) == 1
    assert str(copy) in capsys.readouterr().err
    assert printing.main(["--write"]) == 0
    assert printing.main(["--check"]) == 0


def test_page_and_header_name_every_message_and_field(capsys):
    for flag in ("--page", "--header"):
        assert printing.main([flag]) == 0
        text = capsys.readouterr().out
        for entry in wire.ROWS:
            assert entry.name in text
            for name, _ in entry.fields:
                assert name in text, (flag, entry.name, name)


def test_the_command_runs_without_a_warning():
    command = [sys.executable, "-W", "error", "-m", "descant.plugin_bridge.wire", "--golden"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", printing.golden())


def test_exported_names_are_what_can_be_imported():
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(package._HOME) | {"wire"} == set(package.__all__)


def test_reading_the_table_loads_no_socket_library():
    code = "import sys, descant.plugin_bridge.wire; sys.exit('zmq' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
