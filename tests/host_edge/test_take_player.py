"""A take that is listened to: heard as it was recorded, at any rate, stopped without a click; faults."""

import numpy as np
import pytest
import soundfile
import soxr

from descant.host.edge.take_player import TakePlayer

RATE = 48000
WAVE = np.random.default_rng(5).uniform(-1, 1, (2, 7 * RATE + 123)).astype(np.float32)


def written(path, wave=WAVE, rate=RATE):
    soundfile.write(path, wave.T, rate, subtype="FLOAT")
    return str(path)


def heard(player, n=512):
    """All that is heard of a take; what a late disk leaves silent is left out."""
    parts = []
    while True:
        before = round(player.seconds * RATE)
        out = player.read(n)
        if out is None:
            return np.concatenate(parts, axis=1)
        assert out.shape == (2, n) and out.dtype == np.float32
        parts.append(out[:, : round(player.seconds * RATE) - before])


def test_a_take_is_heard_to_the_bit_and_then_nothing(tmp_path):
    player = TakePlayer(RATE, 2)
    assert player.read(64) is None and player.seconds == 0
    path = written(tmp_path / "take.wav")
    for _ in range(2):  # the second time from its beginning again
        player.start(path)
        assert player.path == path and player.seconds == 0
        np.testing.assert_array_equal(heard(player), WAVE)
        assert player.path == "" and player.read(64) is None and not player.said


def test_another_rate_and_one_channel_are_heard_as_they_sound(tmp_path):
    player = TakePlayer(RATE, 2)
    one = WAVE[:1, : 2 * RATE]
    player.start(written(tmp_path / "one.wav", one))
    np.testing.assert_array_equal(heard(player), np.repeat(one, 2, axis=0))
    player.start(written(tmp_path / "cd.wav", WAVE[:, :88200], 44100))
    out = heard(player)
    true = soxr.resample(np.ascontiguousarray(WAVE[:, :88200].T), 44100, RATE).T
    assert abs(out.shape[1] - 2 * RATE) <= 2
    np.testing.assert_allclose(out[:, :95000], true[:, :95000], atol=1e-4)
    player.start(written(tmp_path / "none.wav", WAVE[:, :0]))
    assert heard(player, 16).shape == (2, 0)


def test_it_stops_without_a_click_and_another_take_begins_at_once(tmp_path):
    player = TakePlayer(RATE, 2)
    player.start(written(tmp_path / "flat.wav", np.full((2, 3 * RATE), 0.5, np.float32)))
    assert player._reading is not None
    player._reading.thread.join(10)
    assert (player.read(256) == 0.5).all()
    player.stop()
    assert player.path == ""
    last = player.read(256)
    assert last is not None
    assert last[0, 0] == 0.5 and last[0, -1] == 0 and (np.diff(last) < 0).all()
    assert player.read(256) is None
    player.stop()
    assert player.read(256) is None
    player.start(written(tmp_path / "take.wav"))
    first = player._reading
    player.start(str(tmp_path / "flat.wav"))
    first.thread.join(10)  # nobody reads on
    assert (heard(player) == 0.5).all()
    player.close()
    player.close()


@pytest.mark.parametrize("content", [None, b"no sound at all"])
def test_what_cannot_be_read_is_told_in_three_lines(tmp_path, content):
    player = TakePlayer(RATE, 2)
    path = tmp_path / "take.wav"
    if content is not None:
        path.write_bytes(content)
    player.start(str(path))
    player._reading.thread.join(10)
    assert player.read(256) is not None and player.read(256) is None and player.path == ""
    error = player.said.popleft()
    assert str(path) in error.what and error.still and error.do and not player.said
