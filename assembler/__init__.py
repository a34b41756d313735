"""imgasm: many steps, one container, one minimal OCI layer."""

__version__ = "0.1.0"
