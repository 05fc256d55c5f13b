"""Mutated messages against a real server over ipc: it never falls, never grows, and goes on serving."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import zmq

from descant.plugin_bridge import BridgeClient, printing, wire
from tests.plugin_bridge.small_host import Clock, SmallHost, ipc_endpoint, joined, until

EXTREMES = [b"\0", b"\xff", b"\x7f", b"\x80", b"\xf8\x7f", b"\0\0\xc0\x7f", b"\xff\xff\xff\xff"]


def mutate(random: random.Random, seeds: list[list[bytes]]) -> list[bytes]:
    """One message, changed in one to four ways."""
    parts = list(random.choice(seeds))
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(parts))
        part = parts[at]
        place = random.randrange(len(part) + 1)
        match random.randrange(9):
            case 0 | 1:  # a flipped bit
                if place < len(part):
                    flipped = part[place] ^ 1 << random.randrange(8)
                    parts[at] = part[:place] + bytes([flipped]) + part[place + 1 :]
            case 2 | 3:  # an extreme value, in the fields rather than the version
                extreme = random.choice(EXTREMES)
                place = max(place, min(4, len(part)))
                parts[at] = part[:place] + extreme + part[place + len(extreme) :]
            case 4:
                parts[at] = part[:place]
            case 5:
                parts[at] = part + random.randbytes(random.choice([1, 4, 100, 5000]))
            case 6:
                parts.insert(random.randrange(len(parts) + 1), random.choice(parts))
            case 7:
                if len(parts) > 1:
                    del parts[at]
            case 8:
                parts[at] = random.randbytes(random.randrange(80))
    return parts


def resident_kb() -> int:
    """Memory of this process that is in RAM, kB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def check_it_survives(count: int) -> None:
    chance = random.Random(count)
    seeds = [wire.encode(printing.example(entry, start)) for entry in wire.ROWS for start in (1, 40)]
    with ipc_endpoint() as endpoint:
        host = SmallHost(endpoint)
        good = BridgeClient(endpoint, clock=Clock())
        joined(good, host)
        context = zmq.Context()
        sockets = [context.socket(zmq.DEALER) for _ in range(4)]
        for socket in sockets:
            socket.linger = 0
            socket.connect(endpoint)
        warm, answers, largest = 0, 0, 0
        for i in range(count):
            sockets[i % 4].send_multipart(mutate(chance, seeds))
            if i % 100 == 99:
                largest = max(largest, len(host.got))
                host.got.clear()
                host.serve()
                good.pump()
                while sockets[0].poll(0):  # the others never read what they are told
                    assert isinstance(wire.decode(sockets[0].recv_multipart()), wire.Refused | wire.Welcome)
                    answers += 1
            if i == count // 2:
                warm = resident_kb()
            if i % (count // 10) == 0:  # one leaves without a word, another comes
                sockets[3].close()
                sockets[3] = context.socket(zmq.DEALER)
                sockets[3].linger = 0
                sockets[3].connect(endpoint)
        until(lambda: good.pump() == 0, host.serve)
        grown = resident_kb() - warm
        assert good.prompt("still here")
        until(lambda: any(m.text == "still here" for m in host.of(wire.Prompt)), host.serve)
        assert good.state == "live" and good.losses == good.malformed == 0
        assert grown < 8 * 1024, f"{grown} kB more after {count} messages"
        assert host.server.malformed > count // 4 and answers > count // 40
        assert len(host.server.clients) <= 64 and largest <= 512
        for socket in sockets:
            socket.close()
        context.term()
        good.close()
        host.server.close()


def test_ten_thousand_mutated_messages():
    check_it_survives(10_000)


@pytest.mark.slow
def test_a_hundred_thousand_mutated_messages():
    check_it_survives(100_000)
