//! The program `phantom-relay`: see [`program`].
#![deny(unsafe_code)]

mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main()
}
