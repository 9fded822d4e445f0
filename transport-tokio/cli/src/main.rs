//! The program `phantom`.
fn main() {}
