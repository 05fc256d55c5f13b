"""The numbers that a controller, a plugin or a preset may move, with their ranges and what each does.

Data only.
"""

from __future__ import annotations

# name -> (lowest, highest, what it does): the numbers a controller or a parameter event may move.
PARAMETERS: dict[str, tuple[float, float, str]] = {
    "temperature": (0.0, 2.0, "sharpness of sampling; 0 always takes the likeliest"),
    "guidance": (1.0, 8.0, "how hard the prompt and the melody pull; 1 is off"),
    "guidance_every": (1.0, 16.0, "at every how many-th step guidance runs; what it adds holds between them"),
    "guidance_fall": (0.0, 60.0, "seconds in which guidance falls to 1 after a trigger; 0 lets it stay"),
    "beta": (0.0, 20.0, "how hard the prompt pulls beside the melody; other than 1 it costs a third row"),
    "top_k": (1.0, 4096.0, "how many tokens may be chosen"),
    "top_p": (0.0, 1.0, "how much probability may be chosen; 0 is off"),
    "melody": (0.0, 1.0, "strength of the hummed melody; 0 lets it go"),
    "chords": (0.0, 1.0, "strength of the held chord or the progression; 0 lets it go"),
    "beat": (0.0, 1.0, "strength of the beat grid; 0 lets it go"),
    "quantise": (
        0.0,
        6.0,
        "where pads start: 0 as the preset says, 1 off, 2 beat, 3 bar, 4 2, 5 4, 6 8 bars",
    ),
    "transition": (0.0, 3.0, "how pads start: 0 as the preset says, 1 morph, 2 cut, 3 fade"),
    "xy": (0.0, 1.0, "how much of the pads 0..3 is in the words, mixed by x and y; 0 leaves the last pad's"),
    "x": (0.0, 1.0, "from the pads 0 and 2 to the pads 1 and 3"),
    "y": (0.0, 1.0, "from the pads 0 and 1 to the pads 2 and 3"),
}
