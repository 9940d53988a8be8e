//! People: registering, turning two-factor on, signing in.

use serde_json::{Value, json};

use crate::{
    Answer, TestApp,
    answer::string,
    authenticator::{self, STEP_S},
};

/// Somebody with a login.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user id.
    pub id: String,
    /// The e-mail address.
    pub email: String,
    /// The name that other people see.
    pub display_name: String,
    /// The password, which is long enough and nobody else's.
    pub password: String,
}

impl Person {
    /// A path below this user.
    pub fn path(&self, below: &str) -> String {
        format!("/v1/users/{}{below}", self.id)
    }
}

/// What the product answers to somebody who wants to add an authenticator.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The enrolment's id.
    pub id: String,
    /// The key to type in.
    pub secret: String,
    /// What the QR code holds.
    pub otpauth_uri: String,
    /// The QR code as a data URI.
    pub qr_png: String,
}

/// Two-factor that is on.
#[derive(Clone, Debug)]
pub struct TwoFactor {
    /// The key in the authenticator app.
    pub secret: String,
    /// The emergency code.
    pub recovery_code: String,
    /// The authenticator's id.
    pub authenticator_id: String,
}

/// A session as it is given out.
#[derive(Clone, Debug)]
pub struct Session {
    /// The session's id.
    pub id: String,
    /// The bearer token.
    pub token: String,
}

impl Session {
    /// Reads the `session` field of an answer.
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        let session = &answer["session"];
        Self { id: string(&session["id"]), token: string(&session["token"]) }
    }
}

impl TestApp {
    /// Registers somebody with a password.
    pub async fn register(&self, name: &str) -> Person {
        let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
        let password = format!("the long passphrase of {name}");
        let body = json!({ "email": email, "display_name": name, "password": password });
        let answer = self.post("/v1/users", &self.key, body).await.expect(201);
        Person { id: answer.string("id"), email, display_name: name.to_owned(), password }
    }

    /// Reads a user with the API key.
    pub async fn user(&self, person: &Person) -> Answer {
        self.get(&person.path(""), &self.key).await.expect(200)
    }

    /// Begins to add an authenticator; `body` is the proof and what else is wanted.
    pub async fn try_to_enrol(&self, person: &Person, token: &str, body: Value) -> Answer {
        self.post(&person.path("/two-factor/enrolments"), token, body).await
    }

    /// Begins to add a first authenticator, with the password as proof.
    pub async fn enrol(&self, person: &Person) -> Enrolment {
        let proof = json!({ "password": person.password });
        enrolment(&self.try_to_enrol(person, &self.key, proof).await.expect(201))
    }

    /// Begins to add a further authenticator, with the password and a new code as proof.
    pub async fn enrol_another(&self, person: &Person, two_factor: &TwoFactor, more: Value) -> Enrolment {
        let mut body = self.proof(person, two_factor);
        merge(&mut body, more);
        enrolment(&self.try_to_enrol(person, &self.key, body).await.expect(201))
    }

    /// Confirms an enrolment with the code that the app shows now.
    pub async fn confirm(&self, person: &Person, enrolment: &Enrolment) -> Answer {
        self.try_to_confirm(person, enrolment, &self.key, &self.code(&enrolment.secret)).await.expect(200)
    }

    /// Confirms an enrolment with any code.
    pub async fn try_to_confirm(
        &self,
        person: &Person,
        enrolment: &Enrolment,
        token: &str,
        code: &str,
    ) -> Answer {
        let path = person.path(&format!("/two-factor/enrolments/{}/confirm", enrolment.id));
        self.post(&path, token, json!({ "code": code })).await
    }

    /// Turns two-factor on.
    pub async fn enrol_and_confirm(&self, person: &Person) -> TwoFactor {
        let enrolment = self.enrol(person).await;
        let confirmed = self.confirm(person, &enrolment).await;
        two_factor(&enrolment, &confirmed)
    }

    /// Registers somebody who has two-factor.
    pub async fn register_with_two_factor(&self, name: &str) -> (Person, TwoFactor) {
        let person = self.register(name).await;
        let two_factor = self.enrol_and_confirm(&person).await;
        (person, two_factor)
    }

    /// The code that an app with this secret shows now.
    pub fn code(&self, secret: &str) -> String {
        authenticator::code_at(secret, self.now())
    }

    /// Waits for the next code, by the clock of the test.
    pub fn next_code(&self, secret: &str) -> String {
        self.advance_s(STEP_S);
        self.code(secret)
    }

    /// A code that this secret does not have near now.
    pub fn wrong_code(&self, secret: &str) -> String {
        authenticator::wrong_code(secret, self.now())
    }

    /// The password and a new code.
    pub fn proof(&self, person: &Person, two_factor: &TwoFactor) -> Value {
        json!({ "password": person.password, "code": self.next_code(&two_factor.secret) })
    }

    /// Signs in with the password, whatever comes of it.
    pub async fn log_in(&self, person: &Person) -> Answer {
        let body = json!({ "email": person.email, "password": person.password });
        self.post("/v1/logins", &self.key, body).await
    }

    /// Signs in with the password, which is enough.
    pub async fn sign_in(&self, person: &Person) -> Session {
        let answer = self.log_in(person).await.expect(200);
        assert_eq!(answer["status"], "complete");
        Session::of(&answer)
    }

    /// Signs in with the password, and returns the id of the challenge that follows.
    pub async fn challenge(&self, person: &Person) -> String {
        let answer = self.log_in(person).await.expect(202);
        assert_eq!(answer["status"], "challenge", "{}", answer.text);
        answer.string("challenge_id")
    }

    /// Answers a challenge with a code.
    pub async fn verify(&self, challenge_id: &str, code: &str) -> Answer {
        self.post(&verify_path(challenge_id), &self.key, json!({ "code": code })).await
    }

    /// Answers a challenge with the emergency code.
    pub async fn verify_recovery_code(&self, challenge_id: &str, recovery_code: &str) -> Answer {
        let body = json!({ "recovery_code": recovery_code });
        self.post(&verify_path(challenge_id), &self.key, body).await
    }

    /// Signs in with the password and the next code.
    pub async fn sign_in_with(&self, person: &Person, two_factor: &TwoFactor) -> Session {
        let challenge = self.challenge(person).await;
        let code = self.next_code(&two_factor.secret);
        Session::of(&self.verify(&challenge, &code).await.expect(200))
    }

    /// Guesses wrong on one challenge, each guess judged.
    pub async fn guess_wrong(&self, challenge_id: &str, secret: &str, times: usize) {
        let wrong = self.wrong_code(secret);
        for _ in 0..times {
            self.verify(challenge_id, &wrong).await.refused(401, "wrong-code");
        }
    }

    /// Guesses wrong until codes are locked.
    pub async fn lock_codes(&self, person: &Person, secret: &str) {
        let challenge = self.challenge(person).await;
        self.guess_wrong(&challenge, secret, 10).await;
    }

    /// Asks what a sign-in of this person needs.
    pub async fn login_check(&self, person: &Person) -> Answer {
        let body = json!({ "email": person.email });
        self.post("/v1/login-checks", &self.key, body).await.expect(200)
    }

    /// Asserts what a sign-in of this person needs.
    pub async fn decides(&self, person: &Person, decision: &str) -> Answer {
        let answer = self.login_check(person).await;
        assert_eq!(answer["decision"], decision, "{}", answer.text);
        answer
    }
}

/// The route that answers a challenge.
pub fn verify_path(challenge_id: &str) -> String {
    format!("/v1/logins/{challenge_id}/verify")
}

/// Reads an answer to an enrolment.
#[track_caller]
pub fn enrolment(answer: &Answer) -> Enrolment {
    Enrolment {
        id: answer.string("enrolment_id"),
        secret: answer.string("secret"),
        otpauth_uri: answer.string("otpauth_uri"),
        qr_png: answer.string("qr_png"),
    }
}

/// Reads an answer to a first confirmation.
#[track_caller]
pub fn two_factor(enrolment: &Enrolment, confirmed: &Answer) -> TwoFactor {
    TwoFactor {
        secret: enrolment.secret.clone(),
        recovery_code: confirmed.string("recovery_code"),
        authenticator_id: string(&confirmed["two_factor"]["authenticators"][0]["id"]),
    }
}

/// Adds the members of one JSON object to another.
pub fn merge(into: &mut Value, more: Value) {
    let (Value::Object(into), Value::Object(more)) = (into, more) else {
        panic!("only objects merge");
    };
    into.extend(more);
}
