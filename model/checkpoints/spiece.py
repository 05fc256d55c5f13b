"""SentencePiece's own file (spiece.model) as a tokenizer, where a T5 comes without tokenizer.json.

Reads just what T5 needs of the protobuf (sentencepiece_model.proto): pieces, their scores, the kind of model
and the map of characters; the rest is as transformers' T5Tokenizer has it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3  # fields of the file
_MODEL_TYPE, _UNIGRAM = 3, 1  # of the trainer's
_CHARACTERS = 2  # of the normalizer's
_UNKNOWN, _CONTROL, _USER = 2, 3, 4  # kinds of pieces
_SENTINELS = 100  # <extra_id_99> .. <extra_id_0>, after the pieces


def read_spiece(path: Path, vocabulary: int) -> Tokenizer:
    """The tokenizer of T5's spiece.model: no padding, no truncation, </s> at the end.

    vocabulary: rows of the model's token table. Raises OSError or ValueError for what is no such file.
    """
    pieces: list[tuple[str, float]] = []
    special: list[str] = []
    unknown, characters = None, b""
    for number, value in _fields(path.read_bytes()):
        if number == _PIECES and isinstance(value, bytes):
            text, score, kind = _piece(value)
            if kind == _UNKNOWN:
                unknown = len(pieces)
            if kind in (_UNKNOWN, _CONTROL, _USER):
                special.append(text)
            pieces.append((text, score))
        elif number == _TRAINER and isinstance(value, bytes):
            if dict(_fields(value)).get(_MODEL_TYPE, _UNIGRAM) != _UNIGRAM:
                raise ValueError("it is no Unigram model")
        elif number == _NORMALIZER and isinstance(value, bytes):
            found = dict(_fields(value)).get(_CHARACTERS, b"")
            characters = found if isinstance(found, bytes) else b""
    end = next((i for i, (text, _) in enumerate(pieces) if text == "</s>"), None)
    if unknown is None or end is None:
        raise ValueError("it has no pieces for the unknown and for the end of a text")
    sentinels = min(_SENTINELS, max(0, vocabulary - len(pieces)))
    extra = [f"<extra_id_{i}>" for i in reversed(range(sentinels))]
    tokenizer = Tokenizer(Unigram([*pieces, *((text, 0.0) for text in extra)], unknown, False))
    if characters:
        tokenizer.normalizer = normalizers.Precompiled(characters)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=None, special_tokens=[("</s>", end)]
    )
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in (*special, *extra)])
    return tokenizer


def _piece(data: bytes) -> tuple[str, float, int]:
    """(text, score, kind) of a piece."""
    fields = dict(_fields(data))
    text, score, kind = fields.get(1), fields.get(2, bytes(4)), fields.get(3, 1)
    if not isinstance(text, bytes) or not isinstance(score, bytes) or len(score) != 4:
        raise ValueError("a piece has no text or score")
    return text.decode("utf-8"), float(struct.unpack("<f", score)[0]), kind if isinstance(kind, int) else 1


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of a protobuf message's fields: whole numbers as such, all else as bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"it is no protobuf message (byte {at})")
        if at + size > len(data):
            raise ValueError("it is cut off")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << (7 * i)
        if byte < 128:
            return value, at + i + 1
    raise ValueError("it is cut off")
