import unittest
from datetime import date

from tally import Entry, format_cents, render, total_by_category


def spend(category, cents):
    return Entry(date(2026, 5, 2), category, cents)


class FormatCentsTest(unittest.TestCase):
    def test_two_decimals(self):
        self.assertEqual(format_cents(1250), "12.50")
        self.assertEqual(format_cents(5), "0.05")

    def test_refund_keeps_its_sign(self):
        self.assertEqual(format_cents(-650), "-6.50")


class TotalTest(unittest.TestCase):
    def test_adds_up_each_category(self):
        entries = [spend("ferry", 1840), spend("bread", 475), spend("ferry", 1840)]
        self.assertEqual(total_by_category(entries), {"bread": 475, "ferry": 3680})


class RenderTest(unittest.TestCase):
    def test_empty_ledger(self):
        self.assertEqual(render([]), "Nothing spent yet.\n")

    def test_ends_with_the_total(self):
        report = render([spend("ferry", 1840), spend("bread", 475)])
        self.assertEqual(report.splitlines()[-1].split(), ["total", "23.15"])


if __name__ == "__main__":
    unittest.main()
