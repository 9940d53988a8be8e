//! E-mail addresses: what is accepted, and which two are the same.

use unicode_normalization::UnicodeNormalization;

use crate::problem::Problem;

const LENGTH_MAX: usize = 254;

/// An e-mail address as its owner wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Email(String);

impl Email {
    /// Accepts anything that mail could be sent to: something before and after one `@`, without
    /// blanks or control characters (whether mail arrives, only mail can tell).
    ///
    /// # Errors
    /// `invalid-field`.
    pub fn parse(field: &str, text: &str) -> Result<Self, Problem> {
        let text = text.trim_matches(' ');
        let well_formed = text
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
        let odd = text.chars().any(|character| character.is_whitespace() || character.is_control());
        if !well_formed || odd || text.len() > LENGTH_MAX {
            return Err(Problem::invalid_field(field, "Give an e-mail address, such as kari@example.com."));
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it is compared: nobody has two accounts that differ in case only, or in how an accented
    /// letter is put together.
    #[must_use]
    pub fn normalised(&self) -> String {
        self.0.to_lowercase().nfc().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mail_can_be_sent_to_is_accepted() {
        for good in ["kari@example.com", " kari@example.com ", "kari+two@example", "søren@bücher.example"] {
            assert!(Email::parse("email", good).is_ok(), "{good}");
        }
        for bad in
            ["", "kari", "@example.com", "kari@", "a@b@c", "ka ri@example.com", "kari@example.com\r\nX: y"]
        {
            assert!(Email::parse("email", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn case_makes_no_difference() {
        let email = |text| Email::parse("email", text).unwrap().normalised();
        assert_eq!(email("Kari@Example.com"), email("kari@example.COM"));
    }
}
