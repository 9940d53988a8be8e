//! Reading a leaf in the spelling that the program writes, in one pass. Whatever is spelled in any
//! other way, if only by an escape that few leaves need, is left to the general reader.

use chrono::{NaiveDate, NaiveTime};
use countersign_domain::Timestamp;
use countersign_domain::context::ActorKind;
use strum::IntoEnumIterator;

use super::Leaf;
use crate::ledger::checkpoint::parse_number;
use crate::ledger::tree::Hash;

/// The leaf, if these are the very bytes in which it is spelled.
pub(super) fn read(bytes: &[u8]) -> Option<Leaf> {
    let mut line = Line { rest: str::from_utf8(bytes).ok()?, first: true };
    // The fields in the order of their names, as they are spelled.
    let actor_id = line.optional("actor_id", Line::text).ok()?;
    let actor_kind = line.field("actor_kind", Line::actor_kind)?;
    let agreement_id = line.optional("agreement_id", Line::id).ok()?;
    let data_key = line.optional("data_key", Line::base64).ok()?;
    let event_id = line.field("event_id", Line::id)?;
    let event_type = line.field("event_type", Line::text)?;
    let event_version = line.field("event_version", Line::text)?;
    let metadata_sha256 = line.field("metadata_sha256", Line::hex)?;
    let payload_sha256 = line.field("payload_sha256", Line::hex)?;
    let prev = line.optional("prev", Line::base64).ok()?;
    let recorded_at = line.field("recorded_at", Line::moment)?;
    let sequence = line.field("sequence", Line::number)?;
    let stream_id = line.field("stream_id", Line::text)?;
    let stream_type = line.field("stream_type", Line::text)?;
    (line.rest == "}").then_some(Leaf {
        event_id,
        event_type,
        event_version,
        stream_type,
        stream_id,
        sequence,
        agreement_id,
        recorded_at,
        actor_kind,
        actor_id,
        payload_sha256,
        metadata_sha256,
        prev,
        data_key,
    })
}

/// Perhaps a leaf, but not as the program writes it.
struct OtherSpelling;

struct Line<'a> {
    rest: &'a str,
    first: bool,
}

impl<'a> Line<'a> {
    fn optional<T>(
        &mut self,
        key: &str,
        value: impl Fn(&mut Self) -> Option<T>,
    ) -> Result<Option<T>, OtherSpelling> {
        if self.open(key) { self.close(value).map(Some).ok_or(OtherSpelling) } else { Ok(None) }
    }

    fn field<T>(&mut self, key: &str, value: impl Fn(&mut Self) -> Option<T>) -> Option<T> {
        if self.open(key) { self.close(value) } else { None }
    }

    /// Goes past a field's name, if it comes next.
    fn open(&mut self, key: &str) -> bool {
        let name = self.rest.strip_prefix(if self.first { "{\"" } else { ",\"" });
        let value = name.and_then(|rest| rest.strip_prefix(key)?.strip_prefix("\":\""));
        if let Some(value) = value {
            (self.rest, self.first) = (value, false);
        }
        value.is_some()
    }

    fn close<T>(&mut self, value: impl Fn(&mut Self) -> Option<T>) -> Option<T> {
        let value = value(self)?;
        self.rest = self.rest.strip_prefix('"')?;
        Some(value)
    }

    /// Up to the quotation mark, unless there is an escape, or what should be one.
    fn plain(&mut self) -> Option<&'a str> {
        let ends = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
        self.take(self.rest.as_bytes().iter().position(ends)?)
    }

    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (value, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(value)
    }

    fn text(&mut self) -> Option<String> {
        self.plain().map(str::to_owned)
    }

    fn number(&mut self) -> Option<u64> {
        parse_number(self.plain()?)
    }

    fn actor_kind(&mut self) -> Option<ActorKind> {
        let name = self.plain()?;
        ActorKind::iter().find(|kind| kind.name() == name)
    }

    /// Of this length an id has its hyphens, but not always lower case.
    fn id<T: std::str::FromStr>(&mut self) -> Option<T> {
        let id = self.take(36)?;
        if id.bytes().any(|byte| byte.is_ascii_uppercase()) { None } else { id.parse().ok() }
    }

    fn base64(&mut self) -> Option<Hash> {
        Hash::from_base64(self.take(44)?).ok()
    }

    fn hex(&mut self) -> Option<Hash> {
        Hash::from_hex(self.take(64)?).ok()
    }

    /// `2030-03-17T17:46:40.000001Z`, and nothing that needs more or fewer digits.
    fn moment(&mut self) -> Option<Timestamp> {
        let year = i32::try_from(self.digits(4, "-")?).ok()?;
        let (month, day) = (self.digits(2, "-")?, self.digits(2, "T")?);
        let (hour, minute) = (self.digits(2, ":")?, self.digits(2, ":")?);
        let (second, microsecond) = (self.digits(2, ".")?, self.digits(6, "Z")?);
        let date = NaiveDate::from_ymd_opt(year, month, day)?;
        Some(date.and_time(NaiveTime::from_hms_micro_opt(hour, minute, second, microsecond)?).and_utc())
    }

    fn digits(&mut self, length: usize, end: &str) -> Option<u32> {
        let mut number = 0;
        for byte in self.take(length)?.bytes() {
            number =
                number * 10 + u32::from(byte).checked_sub(u32::from(b'0')).filter(|digit| *digit < 10)?;
        }
        self.rest = self.rest.strip_prefix(end)?;
        Some(number)
    }
}
