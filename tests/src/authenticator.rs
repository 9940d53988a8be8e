//! The authenticator app: `oathtool` makes the codes and `zbarimg` reads the QR codes.

use std::{io::Write as _, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};

/// How many seconds one code lasts.
pub const STEP_S: i64 = 30;

/// The code that an authenticator app shows at this time.
pub fn code_at(secret: &str, at: DateTime<Utc>) -> String {
    codes(secret, at, 0).remove(0)
}

/// A code that no step near this time has.
pub fn wrong_code(secret: &str, at: DateTime<Utc>) -> String {
    let near = codes(secret, at - TimeDelta::seconds(10 * STEP_S), 20);
    (0..1_000_000)
        .map(|number| format!("{number:06}"))
        .find(|code| !near.contains(code))
        .expect("more codes than steps")
}

fn codes(secret: &str, from: DateTime<Utc>, further_steps: u32) -> Vec<String> {
    let output = Command::new("oathtool")
        .args(["--totp", "--base32"])
        .arg(format!("--now=@{}", from.timestamp()))
        .arg(format!("--window={further_steps}"))
        .arg(secret)
        .output()
        .expect("oathtool runs (tests/run installs it)");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "oathtool refused a secret: {said}");
    let codes = String::from_utf8(output.stdout).expect("digits");
    codes.lines().map(str::to_owned).collect()
}

/// What a phone's camera reads from a `data:image/png;base64,…` picture.
pub fn read_qr(data_uri: &str) -> String {
    let encoded = data_uri.strip_prefix("data:image/png;base64,").expect("a PNG data URI");
    read_qr_png(&STANDARD.decode(encoded).expect("base64"))
}

/// What a phone's camera reads from a picture.
pub fn read_qr_png(png: &[u8]) -> String {
    let mut file = tempfile::Builder::new().suffix(".png").tempfile().expect("a file for the QR code");
    file.write_all(png).expect("the QR code is written");
    let output = Command::new("zbarimg")
        .args(["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"])
        .arg(file.path())
        .output()
        .expect("zbarimg runs (tests/run installs it)");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "zbarimg could not read the QR code: {said}");
    String::from_utf8(output.stdout).expect("text in the QR code").trim_end().to_owned()
}
