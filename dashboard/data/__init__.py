"""Cached access to runs. Everything is keyed by fingerprint and settings, never by an array; nothing here draws."""
