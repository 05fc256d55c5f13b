"""One wire protocol and both its ends. Imports nothing of the other packages.

Names are looked up on first use, so that reading the table (`descant.plugin_bridge.wire`) loads
no socket library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from descant.plugin_bridge import wire as wire
    from descant.plugin_bridge.client import BridgeClient as BridgeClient
    from descant.plugin_bridge.curve import CurveKeys as CurveKeys
    from descant.plugin_bridge.errors import Code as Code
    from descant.plugin_bridge.errors import WireError as WireError
    from descant.plugin_bridge.playout import PlayoutRing as PlayoutRing
    from descant.plugin_bridge.server import BridgeServer as BridgeServer
    from descant.plugin_bridge.wire import PROTOCOL_VERSION as PROTOCOL_VERSION

_HOME = {
    "BridgeClient": "client",
    "BridgeServer": "server",
    "Code": "errors",
    "CurveKeys": "curve",
    "PROTOCOL_VERSION": "wire",
    "PlayoutRing": "playout",
    "WireError": "errors",
}
__all__ = [
    "PROTOCOL_VERSION",
    "BridgeClient",
    "BridgeServer",
    "Code",
    "CurveKeys",
    "PlayoutRing",
    "WireError",
    "wire",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "wire":
        return importlib.import_module(".wire", __name__)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
