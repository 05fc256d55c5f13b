"""MusicLm: MusicGen's decoder. Columns of tokens and conditions in, logits of the next column out.

Knows nothing about audio, frames' patterns, sampling or guidance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from descant.model.errors import ModelError
from descant.model.kernels.device import DeviceWeights
from descant.model.kernels.native import MAX_ROWS, NativeWeights
from descant.model.lm.inputs import LmInputs, check_control_names, prefix_control, stack_controls
from descant.model.lm.linear import Kernel, check_kernel, is_device, is_native, runs_columns, torch_kernel
from descant.model.lm.positions import rope_table, sinusoidal
from descant.model.lm.step import LmState, StepRunner, TextMemory, text_memory
from descant.model.lm.transformer import Layer, band_mask, init_linear
from descant.model.patterns import pattern_of
from descant.model.spec import ControlSpec, LmSpec

Runner = StepRunner | NativeWeights | DeviceWeights


class MusicLm(nn.Module):
    """Sum of K codebook embeddings (+ position) + projected frame controls -> layers -> K heads.

    With positions "sinusoidal", context None and no frame controls this is MusicGen's decoder to the letter.
    The embeddings of all codebooks are one table (codebook k's rows start at k * (cardinality + 1)), and so
    are the heads.
    """

    def __init__(self, spec: LmSpec) -> None:
        super().__init__()
        _check(spec)
        self.spec = spec
        rows = spec.cardinality + 1
        self.embedding = nn.Parameter(torch.empty(spec.n_codebooks * rows, spec.dim))
        sigma = 1.0 / math.sqrt(spec.dim)
        nn.init.trunc_normal_(self.embedding, 0.0, sigma, -3.0 * sigma, 3.0 * sigma)
        self.register_buffer("row_offsets", torch.arange(spec.n_codebooks) * rows, persistent=False)
        self.control_dim = sum(control.dim for control in spec.frame_controls)
        self.control_proj = nn.Linear(self.control_dim, spec.dim, bias=False) if self.control_dim else None
        self.text_proj = nn.Linear(spec.text_dim, spec.dim) if spec.text_dim else None
        self.prefix_proj = nn.ModuleDict(
            {control.name: nn.Linear(control.dim, spec.dim) for control in spec.prefix_controls}
        )
        self.layers = nn.ModuleList(Layer(spec, depth + 1) for depth in range(spec.n_layers))
        self.norm = nn.LayerNorm(spec.dim, eps=spec.norm_eps)
        self.heads = nn.Linear(spec.dim, spec.n_codebooks * spec.cardinality, bias=False)
        for layer in (self.control_proj, self.text_proj, *self.prefix_proj.values(), self.heads):
            if isinstance(layer, nn.Linear):
                init_linear(layer)
        self._runner: Runner | None = None
        self._kernel: Kernel = "fp32"
        self._packed_only = False  # layers and heads are in the runner and nowhere else

    def embed(self, tokens: Tensor) -> Tensor:
        """tokens: [N, K] integers 0..cardinality (= special). Result: [N, dim], the sum over codebooks."""
        offsets: Tensor = self.row_offsets  # type: ignore[assignment]
        return F.embedding_bag(tokens + offsets, self.embedding, mode="sum")

    def project_text(
        self, text: Tensor, mask: Tensor | None, bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Token states to the decoder's width; masked ones are set to zero after the projection's bias.

        text: [B, L, text_dim]. mask: [B, L] bool or None. bias: [B, L] float32 or None, see LmInputs.
        Result: [B, L, dim] and what attention makes of it: None, [B, 1, 1, L] bool, True where visible, or
        float to be added to the scores. A row that is wholly null sees its zeros, so that its result is
        exactly zero.
        """
        if self.text_proj is None:
            raise ModelError(
                "This model reads no text (text_dim is 0) but was given text states.",
                "It works with its other controls.",
                "Leave the text out, or load a model that reads text.",
            )
        states: Tensor = self.text_proj(text.to(self.embedding.dtype))
        visible = None
        if mask is not None:
            states = states * mask.unsqueeze(-1)
            if self.spec.text_padding == "masked":
                visible = (mask | ~mask.any(dim=-1, keepdim=True))[:, None, None, :]
        if bias is None:
            return states, visible
        added = bias[:, None, None, :].to(states)
        return states, added if visible is None else added.masked_fill(~visible, -math.inf)

    def prefix(self, conditions: LmInputs, batch: int) -> Tensor | None:
        """What stands before the columns: [B, P, dim], prefix controls, then text; None: nothing does.

        As in MusicGen's melody models: padded and null text are zero vectors that are attended to, at least
        one (transformers' MusicgenMelodyForConditionalGeneration). Raises ModelError.
        """
        spec = self.spec
        if not spec.has_prefix:
            return None
        parts = [
            self.prefix_of(control, prefix_control(conditions.controls, control, batch, self.embedding))
            for control in spec.prefix_controls
        ]
        if spec.text_dim and spec.text_form == "prefix":
            parts.append(self.prefix_of_text(conditions.text, conditions.text_mask, batch))
        return torch.cat(parts, dim=1)

    def prefix_of(self, control: ControlSpec, vectors: Tensor) -> Tensor:
        """A prefix control's part of the prefix, or a stretch of it: [B, n, control.dim] -> [B, n, dim]."""
        projected: Tensor = self.prefix_proj[control.name](vectors)
        return projected

    def prefix_of_text(self, text: Tensor | None, mask: Tensor | None, batch: int) -> Tensor:
        """The text's part of the prefix: [B, L, dim]; a null text is one zero vector."""
        if text is None:
            return self.embedding.new_zeros(batch, 1, self.spec.dim)
        return self.project_text(text, mask)[0]

    def forward(self, tokens: Tensor, conditions: LmInputs | None = None) -> Tensor:
        """Teacher-forced, unguided logits of every column's successor.

        tokens: [B, K, S] int64, pattern columns, 0..cardinality; column 0 is all special.
        conditions: LmInputs with B rows; None: all null.
        Result: [B, K, S, cardinality] float32; [:, :, s] predicts column s + 1.
        A model that is packed only computes it step by step, as exactly as its kernel is.
        """
        spec = self.spec
        if tokens.dim() != 3 or tokens.shape[1] != spec.n_codebooks or tokens.shape[2] < 1:
            raise ModelError(
                f"Tokens have shape {tuple(tokens.shape)}; allowed: [batch, {spec.n_codebooks}, columns].",
                "The model is unchanged.",
                "Give one row a codebook, as the pattern lays them out.",
            )
        conditions = conditions if conditions is not None else LmInputs()
        check_control_names(conditions.controls, spec.controls)
        if self._packed_only:
            return self._forward_by_steps(tokens, conditions)
        batch, _, columns = tokens.shape
        x = self.embed(tokens.transpose(1, 2).reshape(-1, spec.n_codebooks)).view(batch, columns, spec.dim)
        if self.control_proj is not None and conditions.controls:
            given = stack_controls(conditions.controls, spec.frame_controls, batch, columns, x)
            x = x + self.control_proj(given)
        prefix = self.prefix(conditions, batch)
        if prefix is not None:
            x = torch.cat([prefix, x], dim=1)
        length = x.shape[1]
        positions = torch.arange(length, device=tokens.device)
        rotation = None
        if spec.positions == "rope":
            cos, sin = rope_table(positions, spec.head_dim)
            rotation = (cos.to(x), sin.to(x))
        else:
            x = x + sinusoidal(positions, spec.dim, spec.positions).to(x)
        text, text_bias = None, None
        if conditions.text is not None and spec.text_form == "cross":
            text, text_bias = self.project_text(conditions.text, conditions.text_mask, conditions.text_bias)
        limited = spec.context is not None and spec.context < length
        band = band_mask(length, spec.context, x.device) if limited and spec.context is not None else None
        for layer in self.layers:
            x = layer(x, rotation, band, text, text_bias)
        logits: Tensor = self.heads(self.norm(x[:, length - columns :]))
        return logits.view(batch, columns, spec.n_codebooks, spec.cardinality).transpose(1, 2)

    @torch.inference_mode()
    def _forward_by_steps(self, tokens: Tensor, conditions: LmInputs) -> Tensor:
        batch, _, columns = tokens.shape
        prefix = self.prefix(conditions, batch)
        state = self.new_state(batch, columns + (0 if prefix is None else prefix.shape[1]))
        self.set_text(state, conditions.text, conditions.text_mask, conditions.text_bias)
        self.begin(state, prefix)
        controls = None
        if self.control_proj is not None and conditions.controls:
            controls = stack_controls(
                conditions.controls, self.spec.frame_controls, batch, columns, self.embedding
            )
        rows = (
            self.step(tokens[:, :, s], None if controls is None else controls[:, s], state)
            for s in range(columns)
        )
        return torch.stack([logits for logits in rows if logits is not None], dim=2)

    # Streaming: the same function, a column at a time. The state belongs to the caller.

    def new_state(self, batch: int, capacity: int) -> LmState:
        """An empty stream of `batch` rows that remembers `capacity` columns (context + those to rewind)."""
        with torch.inference_mode():
            return self.packed().new_state(batch, capacity)

    def set_text(
        self, state: LmState, text: Tensor | None, mask: Tensor | None = None, bias: Tensor | None = None
    ) -> None:
        """From the next step on, attend to this text [B, L, text_dim], mask [B, L] bool; None: null."""
        state.text = self.text_memory(state.batch, text, mask, bias)

    @torch.inference_mode()
    def text_memory(
        self, batch: int, text: Tensor | None, mask: Tensor | None = None, bias: Tensor | None = None
    ) -> TextMemory:
        """Cross-attention's keys and values of a text of `batch` rows, for `state.text`; as set_text.

        bias: [B, L] float32 or None, see LmInputs.
        """
        if text is None or self.spec.text_form == "prefix" or (mask is not None and not bool(mask.any())):
            return TextMemory()
        if text.shape[0] != batch:
            raise ModelError(
                f"The text has {text.shape[0]} rows; allowed: {batch}, the rows of the stream.",
                "The stream is unchanged.",
                "Give one row of token states for each row of the stream.",
            )
        states, _ = self.project_text(text, mask)
        runner, hide = self.packed(), self.spec.text_padding == "masked"
        if not isinstance(runner, StepRunner):
            return runner.text_memory(states, mask, bias, hide)
        layers = [layer for layer in self.layers if isinstance(layer, Layer)]
        return text_memory(layers, states, mask, bias, hide)

    @torch.inference_mode()
    def begin(self, state: LmState, prefix: Tensor | None = None) -> None:
        """Forget everything and remember a prefix [B, P, dim] (see `prefix`): column 0 comes next."""
        state.restart(0)
        if prefix is not None:
            self.extend_prefix(state, prefix)

    @torch.inference_mode()
    def extend_prefix(self, state: LmState, part: Tensor) -> None:
        """Remember more of the prefix, [B, n, dim]; no column has been run yet."""
        self.packed().run_many(part, state)
        state.prefix_length += part.shape[1]

    def at_once(self, batch: int) -> int:
        """Columns of `batch` rows that prefill runs as one, while others wait; without such a bound, many."""
        return max(1, MAX_ROWS // batch) if is_native(self._kernel) else 1 << 16

    @property
    def batches(self) -> bool:
        """Whether step_together costs less than as many steps."""
        return is_native(self._kernel)

    @torch.inference_mode()
    def prefill(self, tokens: Tensor, controls: Tensor | None, state: LmState) -> None:
        """Run several columns at once and remember them: as that many steps without logits.

        tokens: [B, K, S] integers, the columns from state.position on. controls: [B, S, sum of dims] or None.
        Under one text. With a finite context, kernels that are not native run them one by one.
        """
        batch, _, columns = tokens.shape
        if columns == 0:
            return
        if self.spec.context is not None and not is_native(self._kernel):
            for s in range(columns):
                self.step(tokens[:, :, s], None if controls is None else controls[:, s], state, False)
            return
        x = self.embed(tokens.transpose(1, 2).reshape(-1, self.spec.n_codebooks)).view(batch, columns, -1)
        if controls is not None and self.control_proj is not None:
            x = x + self._project_controls(controls)
        self.packed().run_many(x, state)

    @torch.inference_mode()
    def step(
        self,
        tokens: Tensor,
        controls: Mapping[str, Tensor] | Tensor | None,
        state: LmState,
        want_logits: bool = True,
    ) -> Tensor | None:
        """Run one column and remember it.

        tokens: [B, K] integers, the column at state.position. controls: name -> [B, dim] of the frame whose
        codebook 0 is predicted here, or all side by side [B, sum of dims], or None (absent).
        Result: [B, K, cardinality] float32 logits of the next column, or None if they are not wanted.
        """
        return self.packed().run(self._column(tokens, controls, state), state, want_logits)

    @torch.inference_mode()
    def step_together(
        self,
        columns: Sequence[tuple[Tensor, Mapping[str, Tensor] | Tensor | None, LmState]],
        want_logits: bool = True,
    ) -> list[Tensor | None]:
        """One column of each of several streams: (tokens, controls, state) as in `step`, no stream twice.

        Native kernels take several columns of a stream, tokens [B, K, S], controls [B, S, C], few enough for
        its ring and a batch, and give the last one's logits. All logits are those of as many steps, to the
        bit; native kernels read the weights once for all rows.
        """
        runner = self.packed()
        given = [(self._column(tokens, controls, state), state) for tokens, controls, state in columns]
        if isinstance(runner, NativeWeights):
            return runner.run_batch(given, want_logits)
        return [runner.run(x, state, want_logits) for x, state in given]

    def _column(
        self, tokens: Tensor, controls: Mapping[str, Tensor] | Tensor | None, state: LmState
    ) -> Tensor:
        """What the layers are given for a column: [B, dim], see step; of several [B, S, dim]."""
        if tokens.dim() == 3:
            flat = tokens.transpose(1, 2).reshape(-1, self.spec.n_codebooks)
            x = self.embed(flat).view(tokens.shape[0], tokens.shape[2], -1)
        else:
            x = self.embed(tokens)
        if controls is not None and self.control_proj is not None:
            if not isinstance(controls, Tensor):
                check_control_names(controls, self.spec.frame_controls)
                given = {name: value.unsqueeze(1) for name, value in controls.items()}
                controls = stack_controls(given, self.spec.frame_controls, state.batch, 1, x)[:, 0]
            x = x + self._project_controls(controls)
        return x

    def _project_controls(self, controls: Tensor) -> Tensor:
        """Frame controls [..., sum of dims] -> [..., dim]: each row is summed in one order.

        A library's product may sum in another order for other numbers of rows: equal but for the last bit.
        """
        assert self.control_proj is not None
        weight = self.control_proj.weight.t()
        products = controls.reshape(-1, weight.shape[0], 1) * weight
        return products.sum(dim=1).view(*controls.shape[:-1], -1)

    def packed(self) -> Runner:
        """The weights as steps use them, packed when first asked for (and see train)."""
        if self._runner is None:
            self._runner = self._pack(self._kernel)
        return self._runner

    @torch.inference_mode()
    def _pack(self, kernel: Kernel) -> Runner:
        layers = [layer for layer in self.layers if isinstance(layer, Layer)]
        weights: NativeWeights | DeviceWeights
        if is_native(kernel):
            weights = NativeWeights(self.spec, kernel)
        elif is_device(kernel):
            weights = DeviceWeights(self.spec, kernel)
        else:
            return StepRunner(self.spec, layers, self.norm, self.heads.weight, torch_kernel(kernel))
        for index, layer in enumerate(layers):
            weights.put_layer(index, layer)
        weights.put_head(self.norm, self.heads.weight)
        return weights

    @property
    def kernel(self) -> Kernel:
        """How steps run; `forward` always computes in the weights' own precision."""
        return self._kernel

    @property
    def packed_only(self) -> bool:
        """Whether layers and heads were packed when they were loaded, and are not there in full."""
        return self._packed_only

    def use_packed(self, weights: NativeWeights | DeviceWeights) -> None:
        """Run on these weights for good; layers and heads of this module hold no numbers."""
        self._runner, self._kernel, self._packed_only = weights, weights.kernel, True

    def use_kernel(self, kernel: str) -> None:
        """How steps run from now on: fp32 (the default), fp16, int8, a native or a GPU kernel, see linear.py.

        Running streams follow from one of torch's kernels to another; else they are begun again.
        Raises ModelError if there is no such kernel, here or anywhere, or the full weights are not there; the
        model then runs as before.
        """
        known = check_kernel(kernel)
        if self._packed_only:
            if known != self._kernel:
                raise self._not_there()
            return
        self._runner = self._pack(known) if runs_columns(known) else None
        self._kernel = known

    def _not_there(self) -> ModelError:
        return ModelError(
            f"The weights were packed for {self._kernel} while they were read; in full they are not there.",
            "The model runs as before.",
            'Load it again with another kernel, such as load_model(name, kernel="fp32").',
        )

    def train(self, mode: bool = True) -> MusicLm:
        """As nn.Module.train; drops the packed weights: call train() or eval() after changing weights."""
        if self._packed_only:
            if mode:
                raise self._not_there()
            return super().train(mode)
        self._runner = None
        super().train(mode)
        return self

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As nn.Module.load_state_dict; also drops the packed weights."""
        if self._packed_only:
            raise self._not_there()
        self._runner = None
        return super().load_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        if self._packed_only:
            return dict(self.__dict__)  # a copy shares them
        return {**self.__dict__, "_runner": None}  # a copy packs its own weights


def _check(spec: LmSpec) -> None:
    """Refuse shapes that cannot be a decoder."""
    problem = None
    if spec.dim % spec.n_heads or spec.head_dim % 2:
        problem = f"dim {spec.dim} with {spec.n_heads} heads: each head needs an even, whole width"
    elif (
        len(spec.delays) != spec.n_codebooks
        or spec.delays[0] != 0
        or list(spec.delays) != sorted(spec.delays)
    ):
        problem = f"delays {spec.delays}: {spec.n_codebooks} ascending numbers from 0 are needed"
    elif spec.context is not None and spec.context < 1:
        problem = f"context {spec.context}: at least 1 column, or None"
    else:
        try:
            pattern_of(spec)
        except ModelError as error:
            problem = f"such a pattern: {error.what.rstrip('.')}"
    if problem is not None:
        raise ModelError(
            f"A language model cannot have {problem}.",
            "Nothing was built.",
            "Correct the numbers in its LmSpec.",
        )
