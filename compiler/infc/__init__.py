"""infc: a declarative compiler from a service-level objective to an inference deployment."""

__version__ = "0.1.0"
