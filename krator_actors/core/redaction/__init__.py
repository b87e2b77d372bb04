"""Redaction: what may leave the process as text. Pure, linear in its input, deterministic."""

from krator_actors.core.redaction.fields import is_telling
from krator_actors.core.redaction.redactor import MAX_BYTES, Redactor

__all__ = ["MAX_BYTES", "Redactor", "is_telling"]
