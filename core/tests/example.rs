//! The example is run, and stays as short as the README says.

use std::process::Command;

#[test]
fn the_example_of_forty_lines_runs_and_its_greetings_arrive() {
    let source = include_str!("../examples/pipe.rs");
    assert!(source.lines().count() <= 40, "{} lines", source.lines().count());
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "phantom-core", "--example", "pipe"])
        .output()
        .expect("cargo runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("Delivered"), "{printed}");
}
