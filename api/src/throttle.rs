//! Wrong passwords are throttled by e-mail address and network address together, in a table that
//! all nodes share, before anything is hashed. Unknown addresses count like known ones.

use std::net::IpAddr;
use std::time::Duration;

use chrono::TimeDelta;
use countersign_domain::Timestamp;
use ipnet::Ipv6Net;

use crate::app::App;
use crate::problem::{Problem, ProblemCode};

/// So many wrong passwords are judged for one pair in a window.
pub const ATTEMPTS_PER_PAIR: i64 = 10;
/// How long a window is.
pub const WINDOW: TimeDelta = TimeDelta::minutes(15);
/// From so many failures in a window, from wherever they come, a person's attempts are slowed.
const SLOWED_FROM: i64 = 100;
/// By so much for each failure beyond that …
const SLOWED_BY: Duration = Duration::from_millis(20);
/// … and by no more than this: a flood must not keep the person out.
const SLOWED_MAX: Duration = Duration::from_secs(2);

/// An attempt that was counted before it was judged, so that parallel attempts cannot slip by.
pub struct Attempt {
    pair: String,
    person: String,
}

/// What counts as one network address: an IPv6 subscriber has a whole /64 of them.
fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            Ipv6Net::new(address, 64).map_or_else(|_| address.to_string(), |net| net.trunc().to_string())
        }
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => address.to_owned(),
    }
}

/// How long an attempt waits after so many failures of the person in this window.
fn slowed_by(failures: i64) -> Duration {
    let beyond = u32::try_from((failures - SLOWED_FROM).max(0)).unwrap_or(u32::MAX);
    SLOWED_BY.saturating_mul(beyond).min(SLOWED_MAX)
}

impl App {
    /// Counts an attempt, or refuses it before anything is hashed.
    ///
    /// # Errors
    /// `throttled`, with when to try again.
    pub async fn count_password_attempt(
        &self,
        email_digest: &str,
        address: Option<&str>,
    ) -> Result<Attempt, Problem> {
        let now = self.clock.now();
        let network = network(address.unwrap_or_default());
        let pair = self.vault.throttle_bucket(&["pair", email_digest, &network]);
        let person = self.vault.throttle_bucket(&["person", email_digest]);
        let rows = self
            .database
            .write(
                "INSERT INTO throttle AS t (bucket, window_started_at, attempts) VALUES ($1, $2, 1) \
                 ON CONFLICT (bucket) DO UPDATE SET \
                 attempts = CASE WHEN t.window_started_at <= $3 THEN 1 ELSE t.attempts + 1 END, \
                 window_started_at = CASE WHEN t.window_started_at <= $3 THEN $2 ELSE t.window_started_at END \
                 RETURNING attempts, window_started_at, (SELECT p.attempts FROM throttle p \
                 WHERE p.bucket = $4 AND p.window_started_at > $3) AS failures",
                &[pair.clone().into(), now.into(), (now - WINDOW).into(), person.clone().into()],
            )
            .await?;
        let row = rows.first().ok_or_else(|| Problem::internal("an upsert returned no row"))?;
        let (attempts, started_at): (i64, Timestamp) = (row.get("attempts")?, row.get("window_started_at")?);
        if attempts > ATTEMPTS_PER_PAIR {
            let detail = "Too many wrong passwords. Wait before you try again.";
            return Err(Problem::new(ProblemCode::Throttled, detail).retry_after(started_at + WINDOW - now));
        }
        let failures: Option<i64> = row.get("failures")?;
        let wait = slowed_by(failures.unwrap_or_default());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(Attempt { pair, person })
    }

    /// The password was right: the pair starts anew.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn password_was_right(&self, attempt: &Attempt) -> Result<(), Problem> {
        self.database.write("DELETE FROM throttle WHERE bucket = $1", &[attempt.pair.clone().into()]).await?;
        Ok(())
    }

    /// The password was wrong. Gives how many failures of this person were not recorded as
    /// events since the last that was, counting this one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn password_was_wrong(&self, attempt: &Attempt) -> Result<u64, Problem> {
        let now = self.clock.now();
        let rows = self
            .database
            .write(
                "INSERT INTO throttle AS t (bucket, window_started_at, attempts, unrecorded) \
                 VALUES ($1, $2, 1, 1) \
                 ON CONFLICT (bucket) DO UPDATE SET unrecorded = t.unrecorded + 1, \
                 attempts = CASE WHEN t.window_started_at <= $3 THEN 1 ELSE t.attempts + 1 END, \
                 window_started_at = CASE WHEN t.window_started_at <= $3 THEN $2 ELSE t.window_started_at END \
                 RETURNING unrecorded",
                &[attempt.person.clone().into(), now.into(), (now - WINDOW).into()],
            )
            .await?;
        let unrecorded: i64 = rows.first().map(|row| row.get("unrecorded")).transpose()?.unwrap_or(1);
        Ok(u64::try_from(unrecorded).unwrap_or_default())
    }

    /// So many failures are in an event now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn password_failures_recorded(&self, attempt: &Attempt, count: u64) -> Result<(), Problem> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.database
            .write(
                "UPDATE throttle SET unrecorded = unrecorded - $2 WHERE bucket = $1",
                &[attempt.person.clone().into(), count.into()],
            )
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use countersign_projections::database::testing::empty_databases;

    use super::*;
    use crate::testing::app_on;

    #[test]
    fn s05_an_ipv6_network_is_one_address_and_mapped_ipv4_is_ipv4() {
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_ne!(network("192.0.2.7"), network("192.0.2.8"));
    }

    #[test]
    fn s05_beyond_a_hundred_failures_each_slows_by_20_ms_up_to_two_seconds() {
        let milliseconds =
            [0, 100, 101, 150, 200, 201, i64::MAX].map(|failures| slowed_by(failures).as_millis());
        assert_eq!(milliseconds, [0, 0, 20, 1_000, 2_000, 2_000, 2_000]);
    }

    #[tokio::test]
    async fn s05_whoever_was_tried_too_often_waits_wherever_the_attempt_comes_from() {
        for fresh in empty_databases().await.unwrap() {
            let directory = tempfile::tempdir().unwrap();
            let app = app_on(fresh.url, directory.path()).await;
            let attempt = app.count_password_attempt("somebody", Some("192.0.2.1")).await.unwrap();
            app.password_was_wrong(&attempt).await.unwrap();
            let tried = "UPDATE throttle SET attempts = 1000 WHERE bucket = $1";
            app.database.write(tried, &[attempt.person.into()]).await.unwrap();
            let waits = async |person| {
                let begun = Instant::now();
                app.count_password_attempt(person, Some("192.0.2.2")).await.unwrap();
                begun.elapsed() >= SLOWED_MAX
            };
            assert!(waits("somebody").await);
            assert!(!waits("somebody else").await);
            app.clock.advance(WINDOW);
            assert!(!waits("somebody").await);
        }
    }
}
