"""How long an example takes says more about the machine's other work than about imgasm."""

from hypothesis import HealthCheck, settings

settings.register_profile("recipe", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("recipe")
