"""Data only: presets as TOML files, and the performance and hum that `tools/run` plays."""
