"""What all tests share: how fast a busy machine draws examples is no finding."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("descant", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("descant")
