"""The parsers' names, for those who must not import the parsers: the fuzzer instruments them as they are imported."""

from typing import Final

NAMES: Final = (
    "auth-file", "challenge", "config", "index", "journal", "layer", "layer-check", "location", "manifest", "range",
    "recipe", "reference", "refusal", "retry-after", "scopes", "token",
)
