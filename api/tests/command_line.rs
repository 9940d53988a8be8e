//! The program as a shell sees it. That this is a test of this package makes cargo build the
//! program for every test run, so that the suites never drive an older one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

fn countersign(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_countersign")).args(arguments).output().unwrap()
}

#[test]
fn the_version_is_a_result_on_standard_output() {
    let output = countersign(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim(),
        concat!("countersign ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_wrong_call_exits_with_2_and_says_why_on_standard_error() {
    for wrong in [&["serv"][..], &["serve", "--listne", "127.0.0.1:0"], &["user", "reset-two-factor"], &[]] {
        let output = countersign(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{wrong:?}");
    }
}
