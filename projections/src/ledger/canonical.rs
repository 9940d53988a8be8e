//! The one spelling of a JSON text (RFC 8785), so that its digest survives a JSON column, which may
//! keep the value and change key order, white space, escapes and the spelling of numbers.
//!
//! RFC 8785 writes numbers as IEEE doubles. What would lose its value that way is refused, and so
//! is an object that names a key twice: readers differ on which of the two counts, and a digest
//! must not cover one value while an aggregate folds the other.

mod spelled;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

use super::tree::Hash;

/// Why a JSON text has no canonical spelling. The text is never quoted, since it may be personal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CanonicalError {
    /// It is not JSON, names a key twice, or holds a number that a double cannot.
    #[error("not canonical JSON: line {line}, column {column}")]
    Refused {
        /// Where, counted from one.
        line: usize,
        /// Where in that line.
        column: usize,
    },
    /// The writer refused it.
    #[error("the JSON text cannot be written canonically")]
    Unwritable,
}

/// The canonical spelling of a JSON text.
///
/// # Errors
/// It is not JSON, names a key twice, or holds a whole number beyond 2⁵³.
pub fn canonical(text: &str) -> Result<String, CanonicalError> {
    let Strict(value) = serde_json::from_str(text)
        .map_err(|error| CanonicalError::Refused { line: error.line(), column: error.column() })?;
    serde_json_canonicalizer::to_string(&value).map_err(|_| CanonicalError::Unwritable)
}

/// SHA-256 of the canonical spelling of a JSON text.
///
/// # Errors
/// The text has no canonical spelling.
pub fn digest(text: &str) -> Result<Hash, CanonicalError> {
    let spelled =
        if spelled::is_canonical(text) { Cow::Borrowed(text) } else { Cow::Owned(canonical(text)?) };
    Ok(Hash::from_bytes(Sha256::digest(spelled.as_bytes()).into()))
}

/// From here on neighbouring whole numbers are the same double.
const EXACT_BELOW: u64 = 1 << 53;

/// A JSON value without the two things that readers disagree on.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(Value::Bool(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Strict, E> {
        if value >= EXACT_BELOW {
            return Err(E::custom("a number too large for a double"));
        }
        Ok(Strict(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Strict, E> {
        if value.unsigned_abs() >= EXACT_BELOW {
            return Err(E::custom("a number too large for a double"));
        }
        Ok(Strict(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Strict, E> {
        #[expect(clippy::cast_precision_loss, reason = "a power of two is exact")]
        let in_bounds = value.abs() < EXACT_BELOW as f64;
        let number = Number::from_f64(value).filter(|_| in_bounds);
        number.map(|number| Strict(Value::Number(number))).ok_or_else(|| E::custom("a number too large"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Strict, E> {
        Ok(Strict(Value::String(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Strict, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Strict(Value::Array(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Strict, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = access.next_entry::<String, Strict>()? {
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key named twice"));
            }
        }
        Ok(Strict(Value::Object(object)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_a_value_has_one_digest() {
        let spelled = r#"{"b":[1,-0.5,100,0,true,null],"a":{"y":"é€😀/\"\n","x":"<"}}"#;
        for other in [
            r#" { "a" : { "x" : "<" , "y" : "é€😀/\"\n" } , "b" : [ 1 , -0.5 , 100 , 0 , true , null ] } "#,
            r#"{"b":[1.0,-5e-1,1E2,-0,true,null],"a":{"y":"\u00e9\u20AC\ud83d\ude00\/\u0022\u000a","\u0078":"\u003c"}}"#,
            "{\"b\":\n[1.000,\t-0.50,1e+2,0e9,true,null],\r\n\"a\":{\"x\":\"<\",\"y\":\"é€😀/\\\"\\n\"}}",
        ] {
            assert_eq!(canonical(other), canonical(spelled));
            assert_eq!(digest(other), digest(spelled));
        }
        assert_eq!(
            canonical(spelled).unwrap(),
            r#"{"a":{"x":"<","y":"é€😀/\"\n"},"b":[1,-0.5,100,0,true,null]}"#
        );
    }

    #[test]
    fn characters_that_only_look_alike_stay_apart() {
        assert_ne!(canonical(r#""é""#), canonical(r#""e\u0301""#));
    }

    #[test]
    fn keys_are_ordered_by_utf_16_as_rfc_8785_says() {
        assert_eq!(canonical("{\"\u{ff41}\":1,\"😀\":2}").unwrap(), "{\"😀\":2,\"\u{ff41}\":1}");
    }

    #[test]
    fn what_readers_disagree_on_is_refused() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"[{"b":{"a":1,"a":1}}]"#,
            "9007199254740992",
            "-9007199254740993",
            "9007199254740993.0",
            "1e300",
            "1e999",
            r#""\ud800""#,
            "",
            "{} {}",
            "NaN",
        ] {
            assert!(matches!(canonical(text), Err(CanonicalError::Refused { .. })), "{text}");
        }
        assert_eq!(canonical("9007199254740991").unwrap(), "9007199254740991");
        assert!(canonical(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn what_the_program_writes_is_seen_to_be_canonical() {
        for text in [
            r#"{"actor_id":"0190c2f4","actor_kind":"api_key","address":"q0Lx+/8=","name":"Nordlys é 😀"}"#,
            r#"{"a":[],"at":"2026-01-01T00:00:00Z","b":{"c":{}},"n":[0,10,999999999999999],"x":[true,false,null]}"#,
            "0",
            r#""""#,
        ] {
            assert!(spelled::is_canonical(text), "{text}");
            assert_eq!(canonical(text).unwrap(), text);
        }
    }

    #[test]
    fn what_may_be_spelled_otherwise_is_left_to_the_parser() {
        for text in [
            "",
            " 1",
            "1 ",
            "01",
            "-1",
            "1.5",
            "1e2",
            "1000000000000000",
            "[1,]",
            "[,1]",
            "[1 ,2]",
            "[1",
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a" :1}"#,
            r#"{"a"}"#,
            r#"{"é":1}"#,
            r#"{"a":"\u00e9"}"#,
            "\"\n\"",
            "\"",
            "nul",
            "nulll",
            "{}{}",
        ] {
            assert!(!spelled::is_canonical(text), "{text}");
        }
        assert!(!spelled::is_canonical(&"[".repeat(100_000)));
    }

    /// Canonical texts of which a byte was changed, taken out or put in twice.
    fn nearly_canonical() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0_i64..2_000_000_000_000_000).prop_map(Value::from),
            "[a-cé \"\\\\\n]{0,3}".prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-cé]{0,2}", inner, 0..4)
                    .prop_map(|object| Value::Object(object.into_iter().collect())),
            ]
        });
        let changed = prop::sample::select(b"{}[],:\"\\abe01-. ".to_vec());
        (value, any::<prop::sample::Index>(), 0..4, changed).prop_map(|(value, index, how, byte)| {
            let text = canonical(&value.to_string()).unwrap();
            let mut bytes = text.clone().into_bytes();
            let at = index.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, bytes[at]),
                _ => {}
            }
            String::from_utf8(bytes).unwrap_or(text)
        })
    }

    /// Texts that are close to JSON.
    fn nearly_json() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "\"\"", "\"é\"", "0", "1", "12", "-", ".", "e",
            "true", "null", " ", "\\",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn what_is_seen_to_be_canonical_is(text in prop_oneof![nearly_json(), nearly_canonical()]) {
            if spelled::is_canonical(&text) {
                prop_assert_eq!(canonical(&text).unwrap(), text);
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_spelled_once_or_refused(text in any::<String>()) {
            if let Ok(spelled) = canonical(&text) {
                prop_assert_eq!(canonical(&spelled).unwrap(), spelled);
            }
        }

        #[test]
        fn arbitrary_strings_and_numbers_survive(word in any::<String>(), number in -9_007_199_254_740_991_i64..=9_007_199_254_740_991) {
            let value = serde_json::json!({ "word": word, "number": number });
            let spelled = canonical(&serde_json::to_string_pretty(&value).unwrap()).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&spelled).unwrap(), value);
            prop_assert_eq!(canonical(&spelled).unwrap(), spelled);
        }
    }
}
