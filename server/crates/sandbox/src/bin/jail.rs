//! The helper on its own, for this crate's tests and examples; the product's binary carries the same two entries.

fn main() {
    sandbox::take_over_if_helper();
    eprintln!("this program is started by the sandbox only");
    std::process::exit(64);
}
