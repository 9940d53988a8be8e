//! How fast a bundle is verified, and in how much memory: `cargo run --release -p
//! countersign-projections --example verify_speed [ENTRIES…]`.
#![expect(clippy::print_stdout, reason = "it is run to be read")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use countersign_domain::Timestamp;
use countersign_domain::context::ActorKind;
use countersign_projections::ledger::bundle::{BundleWriter, Closing, Manifest, Policy, verify_bundle};
use countersign_projections::ledger::canonical;
use countersign_projections::ledger::checkpoint::Signer;
use countersign_projections::ledger::leaf::Leaf;
use countersign_projections::ledger::tree::{Frontier, Hash, leaf_hash};
use countersign_projections::table::timestamp_text;
use zeroize::Zeroizing;

const STREAMS: u64 = 20_000;

const EVENT_TYPES: [&str; 35] = [
    "UserRegistered",
    "PasswordSet",
    "PasswordChanged",
    "PasswordFailed",
    "PasswordLocked",
    "EmailChanged",
    "SignInStarted",
    "SignInCompleted",
    "SignInRefused",
    "ChallengeIssued",
    "ChallengeExpired",
    "TwoFactorEnabled",
    "TwoFactorDisabled",
    "AuthenticatorAdded",
    "AuthenticatorRemoved",
    "AuthenticatorDisabled",
    "EnrolmentStarted",
    "EnrolmentConfirmed",
    "EnrolmentDemanded",
    "CodeAccepted",
    "CodeRejected",
    "CodesLocked",
    "RecoveryCodeIssued",
    "RecoveryCodeUsed",
    "RecoveryCodeRejected",
    "SessionStarted",
    "SessionRefreshed",
    "SessionEnded",
    "AgreementOpened",
    "AgreementClosed",
    "MemberLinked",
    "MemberUnlinked",
    "EnforcementToggled",
    "ApiKeyIssued",
    "ApiKeyRevoked",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut sizes = std::env::args().skip(1).map(|size| size.parse()).collect::<Result<Vec<u64>, _>>()?;
    if sizes.is_empty() {
        sizes = vec![250_000, 1_000_000];
    }
    for size in sizes {
        let directory = tempfile::tempdir()?;
        let written = write(directory.path(), size)?;
        println!("{size} entries written in {:.1} s", written.elapsed.as_secs_f64());
        let (started, used) = (Instant::now(), processor_seconds()?);
        let report = verify_bundle(directory.path(), &written.policy, None, |_, _| {})?;
        let (seconds, used) = (started.elapsed().as_secs_f64(), processor_seconds()? - used);
        println!("{report}");
        #[expect(clippy::cast_precision_loss, reason = "it is shown without a fraction")]
        let speed = size as f64 / used;
        println!(
            "{size} entries verified in {seconds:.2} s, {used:.2} s of them on the processor: {speed:.0}/s"
        );
        println!("peak memory {}", peak_memory()?);
    }
    Ok(())
}

struct Written {
    policy: Policy,
    elapsed: Duration,
}

fn write(directory: &Path, size: u64) -> Result<Written, Box<dyn Error>> {
    let started = Instant::now();
    let signer = Signer::from_seed("audit.example.com/log1".parse()?, &Zeroizing::new([7; 32]));
    let policy = Policy::of(signer.verifier().clone());
    let mut writer = BundleWriter::create(directory, 0, size)?;
    let (mut frontier, mut last) = (Frontier::default(), vec![None; usize::try_from(STREAMS)?]);
    for position in 0..size {
        // No order that a sort would find ready.
        let stream = position.wrapping_mul(7919) % STREAMS;
        let Some(prev) = last.get_mut(usize::try_from(stream)?) else { continue };
        let event = Event::new(position, stream)?;
        let leaf = event.leaf(position / STREAMS + 1, *prev)?;
        let bytes = leaf.to_bytes()?;
        let hash = leaf_hash(&bytes);
        writer.push(position, str::from_utf8(&bytes)?, &event.payload, &event.metadata)?;
        frontier.push(hash)?;
        *prev = Some(hash);
    }
    let manifest = Manifest {
        origin: "audit.example.com/log1".to_owned(),
        from: 0,
        size,
        made_at: moment(size)?,
        made_by: "verify_speed".to_owned(),
    };
    writer.finish(&Closing {
        checkpoint: &signer.sign(size, frontier.root()),
        growth: None,
        proofs: &[],
        policy: &policy,
        manifest: &manifest,
    })?;
    Ok(Written { policy, elapsed: started.elapsed() })
}

struct Event {
    id: String,
    name: &'static str,
    stream_id: String,
    recorded_at: Timestamp,
    payload: String,
    metadata: String,
}

impl Event {
    fn new(position: u64, stream: u64) -> Result<Self, Box<dyn Error>> {
        let kind = usize::try_from(position)? % EVENT_TYPES.len();
        let event_type = EVENT_TYPES.get(kind).copied().unwrap_or_default();
        let (id, stream_id) = (uuid(9, position), uuid(1, stream));
        let (recorded_at, sealed) = (moment(position)?, "q7Zk1v0XcB".repeat(12));
        let mut payload = serde_json::Map::new();
        let text = serde_json::json!({
            "authenticator_id": uuid(3, position), "challenge_id": uuid(4, position),
            "label": "sealed:1:Zk1v0XcBq7", "at": timestamp_text(recorded_at),
        });
        payload.insert(event_type.to_owned(), text);
        let metadata = serde_json::json!({
            "event_id": id, "recorded_at": timestamp_text(recorded_at), "actor_kind": "user",
            "actor_id": stream_id, "agreement_id": uuid(2, stream % 997), "request_id": uuid(5, position),
            "address": format!("sealed:1:{}", sealed.get(..60).unwrap_or_default()),
            "user_agent": format!("sealed:1:{sealed}"),
        });
        let (payload, metadata) = (serde_json::to_string(&payload)?, metadata.to_string());
        Ok(Self { id, name: event_type, stream_id, recorded_at, payload, metadata })
    }

    fn leaf(&self, sequence: u64, prev: Option<Hash>) -> Result<Leaf, Box<dyn Error>> {
        Ok(Leaf {
            event_id: self.id.parse()?,
            event_type: self.name.to_owned(),
            event_version: "1".to_owned(),
            stream_type: "user".to_owned(),
            stream_id: self.stream_id.clone(),
            sequence,
            agreement_id: Some(uuid(2, 7).parse()?),
            recorded_at: self.recorded_at,
            actor_kind: ActorKind::User,
            actor_id: Some(self.stream_id.clone()),
            payload_sha256: canonical::digest(&self.payload)?,
            metadata_sha256: canonical::digest(&self.metadata)?,
            prev,
            data_key: Some(Hash::from_bytes([7; 32])),
        })
    }
}

fn uuid(kind: u64, number: u64) -> String {
    format!("0197a3c4-0000-7000-8{kind:03x}-{number:012x}")
}

fn moment(position: u64) -> Result<Timestamp, Box<dyn Error>> {
    let start = DateTime::from_timestamp(1_900_000_000, 0).ok_or("no such time")?;
    Ok(start + TimeDelta::microseconds(i64::try_from(position)? * 1_003))
}

/// The most memory that this process has had, writing included.
fn peak_memory() -> Result<String, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(peak.ok_or("no VmHWM in /proc/self/status")?.trim().to_owned())
}

/// The time that this process has had on the processor: others may be using it too.
fn processor_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    // The 14th and 15th field, in hundredths of a second.
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}
