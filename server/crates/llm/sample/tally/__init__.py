"""Adds up expenses and draws them as bars."""

from tally.ledger import Entry, LedgerError, parse_cents, read_ledger
from tally.report import format_cents, render, total_by_category

__all__ = [
    "Entry",
    "LedgerError",
    "format_cents",
    "parse_cents",
    "read_ledger",
    "render",
    "total_by_category",
]
