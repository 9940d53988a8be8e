//! Sessions: who is signed in, since when, and with which factors.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{AgreementId, SessionId};
use crate::requirement::{Requirement, Standing, standing};
use crate::sealed::TokenDigest;
use crate::user::{SessionEndReason, User, UserEvent, UserRefusal};

/// A session ends after this, used or not.
pub const SESSION_LIFETIME: TimeDelta = TimeDelta::hours(24);
/// A session ends when it was not used for this long.
pub const SESSION_IDLE: TimeDelta = TimeDelta::hours(1);
/// A person can have so many; beyond it the oldest gives way.
pub const SESSIONS_MAX: usize = 50;

/// A signed-in session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Its id, which is no secret.
    pub id: SessionId,
    /// The digest of its token.
    pub token: TokenDigest,
    /// The agreement that the sign-in was attributed to.
    pub agreement_id: Option<AgreementId>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When the second factor was passed; none for the password alone.
    pub second_factor_at: Option<Timestamp>,
}

/// What the edge has drawn for a session that a command may start.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its id.
    pub session_id: SessionId,
    /// The digest of its token.
    pub token: TokenDigest,
}

/// Ending one session, or all of them.
#[derive(Clone, Debug)]
pub struct EndSessions {
    /// Which one; none means all.
    pub session_id: Option<SessionId>,
    /// Now.
    pub at: Timestamp,
}

impl User {
    /// All sessions on record, some of which may have ended by time.
    #[must_use]
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// The session with this token, if it may be used now. Judged at each use, so that a
    /// requirement that has become due stops a session without a second factor at once.
    #[must_use]
    pub fn live_session(
        &self,
        token: &TokenDigest,
        last_used_at: Option<Timestamp>,
        required_by: &[Requirement],
        at: Timestamp,
    ) -> Option<&Session> {
        let session = self.sessions.iter().find(|session| session.token == *token)?;
        let used_at = last_used_at.map_or(session.started_at, |used_at| used_at.max(session.started_at));
        let dodges_requirement =
            session.second_factor_at.is_none() && standing(required_by, at) == Standing::Due;
        let live = at < session.expires_at && at < used_at + SESSION_IDLE && !dodges_requirement;
        live.then_some(session)
    }

    pub(super) fn start_session(
        &self,
        new: &NewSession,
        agreement_id: Option<AgreementId>,
        second_factor_at: Option<Timestamp>,
        at: Timestamp,
    ) -> Vec<UserEvent> {
        let crowded = (self.sessions.len() >= SESSIONS_MAX).then(|| self.sessions.first()).flatten();
        let ended = crowded.map(|oldest| UserEvent::SessionEnded {
            session_id: oldest.id,
            reason: SessionEndReason::TooMany,
            at,
        });
        let started = UserEvent::SessionStarted {
            session_id: new.session_id,
            token: new.token.clone(),
            agreement_id,
            second_factor_at,
            expires_at: at + SESSION_LIFETIME,
            at,
        };
        ended.into_iter().chain([started]).collect()
    }

    pub(super) fn end_sessions(
        &self,
        which: impl Fn(&Session) -> bool,
        reason: SessionEndReason,
        at: Timestamp,
    ) -> Vec<UserEvent> {
        let ended = self.sessions.iter().filter(|session| which(session));
        ended.map(|session| UserEvent::SessionEnded { session_id: session.id, reason, at }).collect()
    }

    pub(super) fn end_sessions_as_told(&self, command: &EndSessions) -> Result<Vec<UserEvent>, UserRefusal> {
        self.registered()?;
        let told = |session: &Session| command.session_id.is_none_or(|id| session.id == id);
        let ended = self.end_sessions(told, SessionEndReason::SignedOut, command.at);
        if ended.is_empty() && command.session_id.is_some() {
            return Err(UserRefusal::SessionNotFound);
        }
        Ok(ended)
    }

    pub(super) fn apply_to_sessions(&mut self, event: &UserEvent) {
        if let UserEvent::SessionStarted {
            session_id,
            token,
            agreement_id,
            second_factor_at,
            expires_at,
            at,
        } = event
        {
            // What ended by time needs no event; it is dropped when the next one begins.
            self.sessions.retain(|other| *at < other.expires_at);
            self.sessions.push(Session {
                id: *session_id,
                token: token.clone(),
                agreement_id: *agreement_id,
                started_at: *at,
                expires_at: *expires_at,
                second_factor_at: *second_factor_at,
            });
        }
        // A factor that is no more proves nothing: not freshness, nor what a new requirement asks.
        if let UserEvent::TwoFactorDisabled { .. } = event {
            for session in &mut self.sessions {
                session.second_factor_at = None;
            }
        }
        if let UserEvent::SessionEnded { session_id, .. } = event {
            self.sessions.retain(|session| session.id != *session_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use crate::user::UserCommand;

    fn user_with_session(second_factor_at: Option<Timestamp>) -> User {
        replay(registered_user().into_iter().chain([session_started(1, 100, second_factor_at)]))
    }

    fn is_live(user: &User, last_used_minute: i64, required_by: &[Requirement], minute: i64) -> bool {
        user.live_session(&token_digest(1), Some(at_minute(last_used_minute)), required_by, at_minute(minute))
            .is_some()
    }

    #[test]
    fn s17_a_session_lives_a_day_and_an_idle_one_an_hour() {
        let user = user_with_session(None);
        assert!(is_live(&user, 100, &[], 159));
        assert!(!is_live(&user, 100, &[], 160), "idle for an hour");
        let day = 100 + 24 * 60;
        assert!(is_live(&user, day - 10, &[], day - 1));
        assert!(!is_live(&user, day - 10, &[], day), "a day old");
        assert!(user.live_session(&token_digest(2), None, &[], at_minute(100)).is_none(), "another token");
    }

    #[test]
    fn s11_a_due_requirement_stops_a_session_without_second_factor() {
        let due = [requirement()];
        assert!(!is_live(&user_with_session(None), 100, &due, 101));
        assert!(is_live(&user_with_session(Some(at_minute(100))), 100, &due, 101));
        let later = [requirement_with_deadline(Some(at_minute(102)))];
        assert!(is_live(&user_with_session(None), 100, &later, 101));
        assert!(!is_live(&user_with_session(None), 100, &later, 102));
    }

    #[test]
    fn s11_a_session_does_not_outlive_the_second_factor_that_it_passed() {
        let off = UserEvent::TwoFactorDisabled { at: at_minute(101) };
        let passed = session_started(1, 100, Some(at_minute(100)));
        let user = replay(enrolled_user().into_iter().chain([passed, off]));
        assert!(is_live(&user, 100, &[], 102));
        assert!(!is_live(&user, 100, &[requirement()], 102));
    }

    #[test]
    fn one_session_or_all_are_ended() {
        let signed_out = |id| UserEvent::SessionEnded {
            session_id: session_id(id),
            reason: SessionEndReason::SignedOut,
            at: at_minute(100),
        };
        let two = registered_user()
            .into_iter()
            .chain([session_started(1, 10, None), session_started(2, 11, None)])
            .collect::<Vec<_>>();
        let end = |id| UserCommand::EndSessions(EndSessions { session_id: id, at: at_minute(100) });
        given(two.clone()).when(end(Some(session_id(2)))).then([signed_out(2)]);
        given(two.clone()).when(end(None)).then([signed_out(1), signed_out(2)]);
        given(two).when(end(Some(session_id(3)))).refused(&UserRefusal::SessionNotFound);
    }
}
