"""What can go wrong on the wire: one error class, its codes, and the three lines every user gets to read."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """Why a message, a connection or an endpoint is not accepted; travels in `refused.code` and `fault.code`.

    1..63 are the wire's own and never change meaning. From HOST on the host says why in its three lines:
    64..127 are named here, from 128 on the numbers are the host's own and have no name on the wire.
    """

    NOT_DESCANT = 1  # the first bytes are not this protocol's
    VERSION = 2  # another protocol version; the refusal says which would work
    TYPE = 3  # no such message
    DIRECTION = 4  # a message only the other end may send
    PARTS = 5  # too few or too many parts
    SIZE = 6  # a part is too short or too long
    RANGE = 7  # a number, choice or count outside its range
    NOT_FINITE = 8  # NaN or infinity
    TEXT = 9  # not UTF-8, too short, too long, or holding forbidden characters
    SESSION = 10  # no hello yet, or not the session of this connection
    BUSY = 11  # as many clients as the host takes
    ENDPOINT = 16  # an address that cannot be used, or not without keys
    TIMEOUT = 17  # the host did not answer
    LOST = 18  # the host stopped answering
    FULL = 19  # what waits to be sent is as much as is kept
    CLOSED = 20  # this end was closed
    HOST = 64  # the host's own reasons: read the three lines
    MODEL = 65  # no such model, or it cannot do this
    PRESET = 66
    PARAMETER = 67
    CAPTURE = 68  # a clip that cannot be used
    ENGINE_LATE = 72  # the engine does not answer
    ENGINE_LOST = 73  # the engine ended
    ENGINE_RESTARTED = 74  # and is back
    OVERLOAD = 75  # less than wanted is made in time


class WireError(Exception):
    """Something on the wire is wrong. str() is three lines: what happened, what still works, what to do.

    code: why (`Code`, or a host's own number). what, still, do: one line each, without a full stop needed.
    """

    def __init__(self, code: int, what: str, still: str, do: str) -> None:
        self.code = Code(code) if code in Code._value2member_map_ else code
        self.what = what
        self.still = still
        self.do = do
        super().__init__(code, what, still, do)

    def __str__(self) -> str:
        return f"{self.what}\n{self.still}\n{self.do}"
