import unittest
from datetime import date

from tally import Entry, LedgerError, parse_cents, read_ledger


class ParseCentsTest(unittest.TestCase):
    def test_whole_and_broken_amounts(self):
        self.assertEqual(parse_cents("12"), 1200)
        self.assertEqual(parse_cents("12.5"), 1250)
        self.assertEqual(parse_cents("12.05"), 1205)

    def test_refund(self):
        self.assertEqual(parse_cents("-6.50"), -650)

    def test_not_an_amount(self):
        for text in ("", "12.345", "1,50", "many"):
            with self.assertRaises(ValueError):
                parse_cents(text)


class ReadLedgerTest(unittest.TestCase):
    def test_skips_blank_lines_and_comments(self):
        entries = read_ledger(["# spring", "", "2026-05-02, ferry, 18.40"])
        self.assertEqual(entries, [Entry(date(2026, 5, 2), "ferry", 1840)])

    def test_names_the_line_that_is_wrong(self):
        with self.assertRaisesRegex(LedgerError, "line 2"):
            read_ledger(["2026-05-02, ferry, 18.40", "yesterday, ferry, 18.40"])


if __name__ == "__main__":
    unittest.main()
