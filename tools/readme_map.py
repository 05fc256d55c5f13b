"""Writes the README's map of the tree from the first sentence of every file, so that they cannot drift apart.

Run `python -m tools.readme_map` after adding or renaming a file; `--check` only compares.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- map: written by tools/readme_map.py -->", "<!-- end of map -->"
# Files that cannot say their reason in a first line of their own, and folders shown as one row.
NOTES = {
    ".ci/run": "what every change must pass",
    ".gitignore": "what git leaves alone",
    "CHANGELOG.md": "what changed for those who use it",
    "LICENSE": "Apache-2.0",
    "README.md": "this page",
    "pyproject.toml": "packages, pinned dependencies, settings of every tool",
    "model/embedded/card.md": "the embedded model's card: data, recipe, hours, licence, held-out figures",
    "model/embedded/config.json": "the embedded model's numbers (a `ModelSpec` as JSON)",
    "model/embedded/codec.safetensors": "the embedded codec's weights",
    "model/embedded/lm.safetensors": "the embedded language model's weights",
    "presets/performances/first-light.mid": "the shipped performance: four pads and a CC ride, 120 bpm",
    "presets/performances/first-light-hum.wav": "the shipped hum: four bars in C, 32 kHz mono",
    "presets/performances/first-light-hum.json": "the notes of the shipped hum",
}
FOLDERS = {"tests/golden/": "bytes and numbers that must not change unnoticed"}
ORDER = (
    *("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore", ".ci"),
    *("model", "plugin_bridge", "host", "presets", "tools", "tests"),
)


def files() -> list[str]:
    """Every file of the project, committed or new, in the map's order."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    present = {name for name in listed if (ROOT / name).is_file()}
    rank = {name: i for i, name in enumerate(ORDER)}

    def key(name: str) -> tuple[int, tuple[tuple[bool, str], ...]]:
        parts = name.split("/")
        return rank.get(parts[0], len(ORDER)), tuple(
            (i < len(parts) - 1, part) for i, part in enumerate(parts)
        )

    return sorted(present, key=key)


def reason(name: str) -> str:
    """The one reason a file exists, as the file itself says it."""
    if name in NOTES:
        return NOTES[name]
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".py"):
        first = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].replace("\n", " ")
        line = re.split(r"(?<=[^.][.])\s", first)[0]
    elif name.endswith(".toml"):
        line = str(tomllib.loads(text)["description"])
    elif text.startswith("#!"):
        line = text.split("\n")[1].lstrip("# ")
    else:
        line = text.split("\n")[0].lstrip("#;/ ")
    return re.sub(r"\s+", " ", line).strip().rstrip(".").replace("|", "/")


def rows() -> list[str]:
    """The map's table rows."""
    out = ["| File | Why it exists |", "|---|---|"]
    shown: set[str] = set()
    for name in files():
        folder = next((folder for folder in FOLDERS if name.startswith(folder)), None)
        if folder is None:
            out.append(f"| `{name}` | {reason(name)} |")
        elif folder not in shown:
            shown.add(folder)
            out.append(f"| `{folder}` | {FOLDERS[folder]} |")
    return out


def written(readme: str) -> str:
    """The README with its map made anew; ValueError when the map's marks are missing."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md must hold the lines {BEGIN} and {END}")
    return before + begin + "\n" + "\n".join(rows()) + "\n" + end + after


def main() -> int:
    path = ROOT / "README.md"
    now = path.read_text(encoding="utf-8")
    wanted = written(now)
    if "--check" in sys.argv[1:]:
        if now == wanted:
            return 0
        for line in sorted(set(wanted.splitlines()) ^ set(now.splitlines())):
            print(("missing: " if line in wanted.splitlines() else "stale:   ") + line, file=sys.stderr)
        print("README.md's map is stale: run python -m tools.readme_map", file=sys.stderr)
        return 1
    path.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
