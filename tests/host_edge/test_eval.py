"""`descant eval`: each row of the parity table holds, and the table can fail; gaps of windows are bounded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from descant.host.edge import eval_command, parity, parity_oracle
from descant.host.edge.eval_windows import measure
from descant.host.errors import HostError
from descant.model import ModelError


@pytest.mark.filterwarnings("ignore")  # the reference's own
@pytest.mark.parametrize("family", parity.FAMILIES)
@pytest.mark.parametrize("size", ["tiny", "odd"])
def test_a_saved_model_is_the_reference(family: str, size: str) -> None:
    """The issue of trust: codes, waves, states, logits and 200 frames of greedy codes, by folder."""
    rows = list(parity.musicgen_rows(parity_oracle.SIZES[size], family))
    assert [row for row in rows if not row.passed] == []
    checks = {row.check for row in rows}
    frames = parity_oracle.SIZES[size].frames
    assert {f"greedy codes, {frames} frames, guided", f"greedy codes, {frames} frames, unguided"} <= checks


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_musicgen_small_is_the_reference_at_its_full_shape() -> None:
    rows = list(parity.musicgen_rows(parity_oracle.SMALL, "text"))
    assert [row for row in rows if not row.passed] == []


@pytest.mark.filterwarnings("ignore")
def test_the_table_shows_a_difference_and_the_command_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = parity_oracle.make_codec

    def changed(config: dict[str, object]) -> object:
        codec = make(config)
        save = codec.save_pretrained

        def save_another(folder: Path) -> None:  # what is loaded is not what is compared
            with torch.no_grad():
                codec.decoder.layers[0].conv.bias.add_(0.01)
            save(folder)
            with torch.no_grad():
                codec.decoder.layers[0].conv.bias.sub_(0.01)

        codec.save_pretrained = save_another
        return codec

    monkeypatch.setattr(parity_oracle, "make_codec", changed)
    monkeypatch.setattr(parity_oracle, "CODECS", {"32 kHz": parity_oracle.TINY.codec})
    monkeypatch.setattr(parity, "FAMILIES", {})
    with pytest.raises(HostError, match="1 of 4 checks are out of tolerance"):
        eval_command.parity(["tiny"], tmp_path / "rows.json")
    assert "differs" in capsys.readouterr().out
    rows = json.loads((tmp_path / "rows.json").read_bytes())
    assert [row["check"] for row in rows if row["error"] > row["allowed"]] == ["wave"]


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(HostError, match="allowed: tiny, odd, musicgen-small"):
        eval_command.parity(["huge"], None)


@pytest.mark.slow
def test_a_shadow_bounds_the_columns_between_two_frames() -> None:
    told: list[str] = []
    rows = {row.form: row for row in measure(None, 0.75, told.append)}  # beyond the first 30 s window
    assert all(row.windows == 2 and row.frames == 2250 for row in rows.values()) and told
    assert rows["seamless, shadow"].most_columns <= 3
    assert rows["drain, shadow"].most_columns <= 12
    assert rows["seamless"].most_columns > 600 and rows["drain (audiocraft)"].most_columns > 600


def test_models_without_windows_and_unknown_ones_are_refused() -> None:
    with pytest.raises(HostError, match="has no windows"):
        measure("embedded", 1.0, print)
    with pytest.raises(ModelError, match="no model named"):
        measure("nobody", 1.0, print)
