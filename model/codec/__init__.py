"""Codecs: waves to codes and back, at once or streamed exactly."""
