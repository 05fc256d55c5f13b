"""Every test here needs the plugin, so a compiler; `tools/test` selects them out where there is none."""

from __future__ import annotations

import ctypes
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.plugin_bridge.small_host import SmallHost, ipc_endpoint
from tests.plugin_native.rig import BUILD, NativeDaw, build, load

HERE = Path(__file__).resolve().parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.plugin)


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder with everything built."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return build()


@pytest.fixture(scope="session")
def lib(built: Path) -> ctypes.CDLL:
    return load(built)


@pytest.fixture
def host() -> Iterator[SmallHost]:
    with ipc_endpoint() as endpoint:
        small = SmallHost(endpoint)
        yield small
        small.server.close()


@pytest.fixture
def daw(
    lib: ctypes.CDLL, host: SmallHost, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., NativeDaw]]:
    """Makes DAWs at the small host; closes them."""
    monkeypatch.setenv("DESCANT_ENDPOINT", host.endpoint)
    made: list[NativeDaw] = []

    def make(**options) -> NativeDaw:
        made.append(NativeDaw(lib, host.endpoint, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
