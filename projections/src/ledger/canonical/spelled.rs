//! Whether a JSON text is in its canonical spelling already, as what the program writes is: told in one pass that
//! keeps nothing. It says yes only where that is certain; all else is left to the parser.

/// Deeper texts are left to the parser.
const DEPTH_MAX: u32 = 16;

/// So many digits are below 2⁵³ whatever they are.
const DIGITS_MAX: usize = 15;

pub(super) fn is_canonical(text: &str) -> bool {
    let mut rest = text.as_bytes();
    value(&mut rest, 0).is_some() && rest.is_empty()
}

fn value(rest: &mut &[u8], depth: u32) -> Option<()> {
    match rest.first()? {
        b'"' => string(rest).map(drop),
        b'0'..=b'9' => whole_number(rest),
        b'{' if depth < DEPTH_MAX => object(rest, depth + 1),
        b'[' if depth < DEPTH_MAX => array(rest, depth + 1),
        _ => ["null", "true", "false"].iter().find_map(|word| take(rest, word)),
    }
}

fn object(rest: &mut &[u8], depth: u32) -> Option<()> {
    take(rest, "{")?;
    let mut before: Option<&[u8]> = None;
    while take(rest, "}").is_none() {
        if before.is_some() {
            take(rest, ",")?;
        }
        let key = string(rest)?;
        // Bytes and UTF-16 order ASCII alike; a key that is named twice is not behind itself.
        if !key.is_ascii() || before.is_some_and(|before| before >= key) {
            return None;
        }
        before = Some(key);
        take(rest, ":")?;
        value(rest, depth)?;
    }
    Some(())
}

fn array(rest: &mut &[u8], depth: u32) -> Option<()> {
    take(rest, "[")?;
    let mut is_first = true;
    while take(rest, "]").is_none() {
        if !std::mem::take(&mut is_first) {
            take(rest, ",")?;
        }
        value(rest, depth)?;
    }
    Some(())
}

/// A string in which nothing is escaped, nor ought to be.
fn string<'t>(rest: &mut &'t [u8]) -> Option<&'t [u8]> {
    let text = rest.strip_prefix(b"\"")?;
    let end = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
    let (string, after) = text.split_at_checked(end)?;
    *rest = after.strip_prefix(b"\"")?;
    Some(string)
}

fn whole_number(rest: &mut &[u8]) -> Option<()> {
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at_checked(end)?;
    *rest = after;
    (digits == b"0" || (digits.first() != Some(&b'0') && digits.len() <= DIGITS_MAX)).then_some(())
}

fn take(rest: &mut &[u8], expected: &str) -> Option<()> {
    *rest = rest.strip_prefix(expected.as_bytes())?;
    Some(())
}
