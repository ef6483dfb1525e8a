"""Turning entries into a report a person can read."""

BAR_WIDTH = 24


def format_cents(cents):
    """Cents as money with two decimals: 1250 is '12.50'."""
    return f"{cents // 100}.{cents % 100:02d}"


def total_by_category(entries):
    """The sum of each category, by name."""
    totals = {}
    for entry in entries:
        totals[entry.category] = totals.get(entry.category, 0) + entry.cents
    return dict(sorted(totals.items()))


def draw_bar(cents, scale):
    """A bar as long as the amount deserves. Refunds have none."""
    return "#" * max(0, round(BAR_WIDTH * cents / scale))


def render(entries):
    """One line a category: name, amount, bar. Then the total."""
    totals = total_by_category(entries)
    if not totals:
        return "Nothing spent yet.\n"

    name_width = max(len(name) for name in totals)
    lines = []
    scale = next(iter(totals.values()))
    for name, cents in totals.items():
        lines.append(f"{name:<{name_width}}  {format_cents(cents):>8}  {draw_bar(cents, scale)}")
    lines.append(f"{'total':<{name_width}}  {format_cents(sum(totals.values())):>8}")
    return "\n".join(line.rstrip() for line in lines) + "\n"
