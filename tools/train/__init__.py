"""How the embedded model is made: composer, render, codec, language model, judge, card (see its README)."""
