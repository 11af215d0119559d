"""Tells schemathesis that after five wrong tokens a second, 429 is a refusal like any other."""

from __future__ import annotations

from schemathesis.specs.openapi import checks

checks.AUTH_REJECTION_STATUSES |= {429}
