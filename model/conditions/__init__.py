"""What steers a model: words, melodies and other controls, made into tensors."""
