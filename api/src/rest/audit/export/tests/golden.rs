//! What programs that read exports rely on, to the byte: an export of three entries in each
//! format, with `VERSION` for the program's version.

use super::*;

#[test]
fn exports_stay_as_they_are() {
    for format in Format::iter() {
        let golden = match format {
            Format::Ndjson => include_str!("golden/three.ndjson"),
            Format::Csv => include_str!("golden/three.csv"),
            Format::Ocsf => include_str!("golden/three.ocsf.ndjson"),
            Format::Cef => include_str!("golden/three.cef"),
        };
        let mut out = format.head().to_vec();
        for entry in [sign_in(), enforcement(), of_a_newer_program()] {
            format.write(&entry, &mut out).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        let text = text
            .replace(concat!("|", env!("CARGO_PKG_VERSION"), "|"), "|VERSION|")
            .replace(concat!("\"version\":\"", env!("CARGO_PKG_VERSION"), "\""), "\"version\":\"VERSION\"");
        assert_eq!(text, golden, "{format:?}");
    }
}
