"""Command: make the embedded model from nothing, every stage resumable. `python -m tools.train --folder DIR`.

compose and render -> train the codec -> encode -> train the language model -> train the judge -> export ->
evaluate -> card.
Run it again with the same folder to go on training: each run adds a leg. Once music is encoded, codec legs
train the decoder alone, so that the tokens in use stay true; for another codec take another folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from rich.console import Console


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder",
        type=Path,
        required=True,
        help="where renders, tokens and runs are kept (10 GB, outside the repository)",
    )
    parser.add_argument("--shards", type=int, default=60, help="20.5 minutes of music each")
    parser.add_argument("--codec-minutes", type=float, default=30.0, help="0: keep the codec as it is")
    parser.add_argument("--lm-minutes", type=float, default=120.0)
    parser.add_argument("--judge-minutes", type=float, default=8.0, help="only when there is no judge yet")
    parser.add_argument(
        "--codebooks",
        type=int,
        default=4,
        help="codebooks that ship, of the codec's 8; settled when music is first encoded",
    )
    parser.add_argument(
        "--final", action="store_true", help="let the learning rates fall to zero: the leg that ships"
    )
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    f: Path = args.folder
    shards, codec, tokens, lm, judge = f / "shards", f / "codec", f / "tokens", f / "lm", f / "judge"
    threads = ["--threads", str(args.threads)]
    final = ["--final"] if args.final else []
    leg = [*final, *threads]
    settled = any(tokens.glob("*.tokens.npz"))
    stages: list[tuple[str, list[str]]] = [
        ("make_shards", ["--folder", str(shards), "--shards", str(args.shards)])
    ]
    if args.codec_minutes > 0:
        chosen = ["--run", str(codec), "--minutes", str(args.codec_minutes)]
        kept = ["--decoder-only", "--codebooks", str(args.codebooks)] if settled else []
        stages.append(("train_codec", ["--shards", str(shards), *chosen, *kept, *leg]))
    stages.append(
        ("tokens", ["--shards", str(shards), "--codec", str(codec), "--out", str(tokens), *threads])
    )
    sources = ["--shards", str(shards), "--tokens", str(tokens)]
    stages.append(("train_lm", [*sources, "--run", str(lm), "--minutes", str(args.lm_minutes), *leg]))
    if not (judge / "judge.pt").exists():
        minutes = str(args.judge_minutes)
        stages.append(
            ("judge", ["--shards", str(shards), "--run", str(judge), "--minutes", minutes, *threads])
        )
    stages.append(("ship", ["--folder", str(f), *threads]))
    console = Console()
    choice = codec / "n_codebooks.txt"
    if settled and choice.exists() and int(choice.read_text()) != args.codebooks:
        used = choice.read_text().strip()
        sys.exit(
            f"The music in {tokens} is encoded with {used} codebooks, not {args.codebooks}.\n"
            "Everything made so far is kept.\n"
            "Leave --codebooks out, or begin in another folder."
        )
    codec.mkdir(parents=True, exist_ok=True)
    choice.write_text(str(args.codebooks))
    for number, (stage, arguments) in enumerate(stages, 1):
        console.rule(f"{number}/{len(stages)} {stage}")
        done = subprocess.run([sys.executable, "-m", f"tools.train.{stage}", *arguments])
        if done.returncode:
            sys.exit(
                f"{stage} failed (exit {done.returncode}).\n"
                f"Everything made before it is kept in {f}.\n"
                "Mend the cause and run the same command again."
            )


if __name__ == "__main__":
    main()
