"""The language model: columns of tokens and conditions in, logits of the next column out."""
