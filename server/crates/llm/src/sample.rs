//! The sample project: a small Python package with one failing test, for a first look around and for
//! the demonstration model.

/// Path and text of each file, in the order a person would read them. Needs nothing but Python 3.
pub const SAMPLE_FILES: &[(&str, &str)] = &[
    ("README.md", include_str!("../sample/README.md")),
    ("expenses.csv", include_str!("../sample/expenses.csv")),
    ("tally/__init__.py", include_str!("../sample/tally/__init__.py")),
    ("tally/__main__.py", include_str!("../sample/tally/__main__.py")),
    ("tally/ledger.py", include_str!("../sample/tally/ledger.py")),
    ("tally/report.py", include_str!("../sample/tally/report.py")),
    ("tests/__init__.py", include_str!("../sample/tests/__init__.py")),
    ("tests/test_ledger.py", include_str!("../sample/tests/test_ledger.py")),
    ("tests/test_report.py", include_str!("../sample/tests/test_report.py")),
];
