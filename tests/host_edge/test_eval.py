"""`descant eval`: rows of the parity table hold, and it can fail; kernels agree; gaps are bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from descant.host.edge import eval_command, eval_kernels, parity, parity_oracle
from descant.host.edge.eval_kernels import forced_steps, own_piece, random_piece
from descant.host.edge.eval_windows import measure
from descant.host.edge.outliers import LOUD, same_function
from descant.host.edge.parity_sizes import FULL, SIZES, TINY
from descant.host.errors import HostError
from descant.model import ModelError, load_model
from descant.model.kernels.build import CACHE_VARIABLE, COMPILER_VARIABLE, load


@pytest.mark.filterwarnings("ignore")  # the reference's own
@pytest.mark.parametrize("family", parity.FAMILIES)
@pytest.mark.parametrize("size", ["tiny", "odd"])
def test_a_saved_model_is_the_reference(family: str, size: str) -> None:
    """The issue of trust: codes, waves, states, logits and 200 frames of greedy codes, by folder."""
    rows = list(parity.musicgen_rows(SIZES[size], family))
    assert [row for row in rows if not row.passed] == []
    checks = {row.check for row in rows}
    frames = SIZES[size].frames
    assert {f"greedy codes, {frames} frames, guided", f"greedy codes, {frames} frames, unguided"} <= checks


@pytest.mark.filterwarnings("ignore")
def test_a_melody_is_heard_as_the_reference_hears_it() -> None:
    rows = list(parity.chroma_rows())
    assert len(rows) == 5 and [row for row in rows if not row.passed] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("size", "family"), [(size, family) for size in FULL for family in SIZES[size].families]
)
def test_musicgen_is_the_reference_at_its_full_shape(size: str, family: str) -> None:
    """musicgen-small and musicgen-melody, mono and stereo, with fewer frames of the large ones."""
    rows = list(parity.musicgen_rows(SIZES[size], family, None if family == "text" else 12))
    assert [row for row in rows if not row.passed] == []
    assert {family for size in FULL for family in SIZES[size].families} == set(parity.FAMILIES)


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
    monkeypatch.setattr(parity, "CODECS", {"32 kHz": TINY.codec})
    monkeypatch.setattr(parity, "SIZES", {"tiny": replace(TINY, families=())})
    with pytest.raises(HostError, match="1 of 9 checks are out of tolerance"):
        eval_command.parity(["tiny"], tmp_path / "rows.json")
    assert "differs" in capsys.readouterr().out
    rows = json.loads((tmp_path / "rows.json").read_bytes())
    assert [row["check"] for row in rows if row["error"] > row["allowed"]] == ["wave"]


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(HostError, match="allowed: tiny, odd, musicgen-small, musicgen-melody, full"):
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


def test_outliers_that_change_nothing_change_nothing_and_those_of_random_weights_are_there() -> None:
    model = load_model("embedded", kernel="fp32")
    piece = own_piece(model, "warm piano", 120.0, 0.4)
    exact = forced_steps(model.lm, piece)
    for activations in (True, False):
        twin = same_function(model.lm, activations)
        assert (forced_steps(twin, piece) - exact).abs().max() < 2e-3
        norms = dict(model.lm.named_parameters())
        moved = [int((norms[n] != p).sum()) for n, p in twin.named_parameters() if n.endswith("ffn.weight")]
        assert moved == [LOUD] * model.spec.lm.n_layers
    lm, piece = random_piece(1, columns=6)
    assert float(
        dict(lm.named_parameters())["layers.0.norm_self.weight"].max()
    ) == 20.0 and piece.tokens.shape == (2, 4, 6)


@pytest.mark.slow
def test_int8_says_what_fp32_says_on_trained_weights_with_outliers_and_without() -> None:
    if load().handle is None:
        pytest.skip(f"no native library: {load().reason}")
    told: list[str] = []
    rows = list(eval_kernels.measure(2.0, 3, LOUD, 0, told.append))
    assert len(rows) == 3 * 2 * len(eval_kernels.FORMATS) and told
    held = [row for row in rows if row.must_agree]
    assert len(held) == 6
    least = min(held, key=lambda row: row.agreement)
    assert least.agreement >= 0.985, least  # 1200 codes: the command compares more, and wants 0.99
    coarse = [row for row in rows if row.kernel == "native-int4"]
    assert max(row.agreement for row in coarse) < least.agreement


def test_kernels_prints_a_row_a_format_and_fails_where_int8_agrees_too_little(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(COMPILER_VARIABLE, "no-such-compiler")  # and as it is where there is none
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    eval_command.kernels(0.2, 1, LOUD, 0, 1, tmp_path / "rows.json")
    out = capsys.readouterr().out
    assert "no C compiler here" in " ".join(out.split()) and "fp16" in out and "yes" not in out
    rows = json.loads((tmp_path / "rows.json").read_bytes())["rows"]
    assert len(rows) == 3 * 2 * len(eval_kernels.FORMATS)
    assert all(row["agreement"] > 0.8 for row in rows if not row["missing"])

    def poor(*_: object) -> Iterator[eval_kernels.Distance]:
        for guidance in (3.0, 1.0):
            yield eval_kernels.Distance(eval_kernels.TRAINED, "native-int8", guidance, 0.9, 0.1, 100)

    monkeypatch.setattr(eval_kernels, "measure", poor)
    with pytest.raises(HostError, match=r"90.00% of the codes .*; 99% are promised"):
        eval_command.kernels(0.2, 1, LOUD, 0, 1, None)
