"""Reading a ledger: one expense a line, as `day, what for, amount`."""

import re
from dataclasses import dataclass
from datetime import date

AMOUNT = re.compile(r"(-?)(\d+)(?:\.(\d{1,2}))?")


class LedgerError(ValueError):
    """A line that is not an expense. Says which line."""


@dataclass(frozen=True)
class Entry:
    day: date
    category: str
    cents: int


def parse_cents(text):
    """Money as whole cents: '12.5' is 1250, '-3' is -300."""
    match = AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text.strip()!r} is not an amount")
    sign, whole, part = match.groups()
    cents = int(whole) * 100 + int((part or "0").ljust(2, "0"))
    return -cents if sign else cents


def read_ledger(lines):
    """The entries of a ledger, in order. Blank lines and # comments are skipped."""
    entries = []
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            day, category, amount = (field.strip() for field in line.split(","))
            entries.append(Entry(date.fromisoformat(day), category, parse_cents(amount)))
        except ValueError as error:
            raise LedgerError(f"line {number}: {error}") from error
    return entries
