"""`descant plugin` without a compiler: what is missing is named, nothing is changed; where things are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from descant.host.edge import plugin_command
from descant.host.errors import HostError


def test_without_a_compiler_the_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(plugin_command, "DEBIAN_FRAMEWORK", tmp_path / "no-framework")
    with pytest.raises(HostError) as caught:
        plugin_command.build(None, tmp_path / "build")
    error = caught.value
    assert error.what == (
        "To build the plugin a C++ compiler, make, CMake and the DISTRHO Plugin Framework are missing."
    )
    assert "nothing was changed" in error.still
    assert "sudo apt-get install g++ make cmake dpf-source" in error.do
    assert not (tmp_path / "build").exists()


def test_one_missing_thing_is_named_alone(tmp_path, monkeypatch):
    for name in ("g++", "make", "cmake"):
        tool = tmp_path / name
        tool.write_text("#!/bin/sh\nexit 1\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match=r"typo holds no DISTRHO Plugin Framework"):
        plugin_command.build(tmp_path / "typo", None)
    monkeypatch.setattr(plugin_command, "DEBIAN_FRAMEWORK", tmp_path / "no-framework")
    with pytest.raises(HostError, match="the DISTRHO Plugin Framework is missing"):
        plugin_command.build(None, None)


def test_a_build_that_fails_says_why_and_keeps_what_was_said(tmp_path, monkeypatch):
    for name, script in (
        ("g++", "exit 0"),
        ("make", "exit 0"),
        (
            "cmake",
            'echo "CMake Error at x:1:"; echo "  The moon is"; echo; echo "    full."; echo Call; exit 1',
        ),
    ):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
    framework, headers, build = tmp_path / "dpf", tmp_path / "include", tmp_path / "build"
    (framework / "distrho").mkdir(parents=True)
    (framework / "distrho" / "DistrhoPlugin.hpp").write_text("")
    headers.mkdir()
    for name in ("zmq.h", "zmq.hpp"):
        (headers / name).write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    monkeypatch.setenv("CPATH", str(headers))
    with pytest.raises(HostError, match="The moon is full") as caught:
        plugin_command.build(framework, build)
    log = build / "descant-build.log"
    assert str(log) in caught.value.do and "CMake Error" in log.read_text()
    assert "apt-get" not in caught.value.do  # all packages are there


def test_what_another_checkout_built_is_built_anew_and_what_is_not_cmakes_stays(tmp_path):
    cache, made, other = tmp_path / "CMakeCache.txt", tmp_path / "CMakeFiles", tmp_path / "mine.txt"
    for home, gone in ((plugin_command.source_folder(), False), (tmp_path / "moved", True)):
        cache.write_text(f"# so\nCMAKE_HOME_DIRECTORY:INTERNAL={home}\n")
        made.mkdir(exist_ok=True)
        other.write_text("")
        plugin_command._forget_another_source(tmp_path)
        assert (cache.exists(), made.exists()) == (not gone, not gone) and other.exists()
    plugin_command._forget_another_source(tmp_path)


def test_the_source_ships_with_the_package():
    names = {path.name for path in plugin_command.source_folder().iterdir()}
    assert {"CMakeLists.txt", "plugin.cpp", "wire.h", "repair_dpf.cmake"} <= names


def test_where_says_what_is_installed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    product = plugin_command.products()[0]
    plugin_command._replace(plugin_command.source_folder() / "wire.h", product.folder / product.built)
    plugin_command.where()
    said = capsys.readouterr().out
    assert f"installed      {product.folder / product.built}" in said
    assert said.count("not installed") == len(plugin_command.products()) - 1
    assert "DESCANT_ENDPOINT" in said


def test_an_installed_bundle_is_replaced_whole(tmp_path):
    built, target = tmp_path / "new.vst3", tmp_path / "in" / "it.vst3"
    (built / "Contents").mkdir(parents=True)
    (built / "Contents" / "a").write_text("1")
    plugin_command._replace(built, target)
    (target / "Contents" / "stray").write_text("old")
    (built / "Contents" / "a").write_text("2")
    plugin_command._replace(built, target)
    assert [(path.name, path.read_text()) for path in (target / "Contents").iterdir()] == [("a", "2")]
    assert [path.name for path in target.parent.iterdir()] == ["it.vst3"]
