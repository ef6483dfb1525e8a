import sys

from tally import LedgerError, read_ledger, render


def main(arguments):
    if len(arguments) != 1:
        print("usage: python3 -m tally LEDGER.csv", file=sys.stderr)
        return 2
    try:
        with open(arguments[0], encoding="utf-8") as lines:
            print(render(read_ledger(lines)), end="")
    except (OSError, LedgerError) as error:
        print(f"tally: {error}", file=sys.stderr)
        return 1
    return 0


sys.exit(main(sys.argv[1:]))
