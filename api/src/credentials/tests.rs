//! A hash that was made with weaker parameters is made anew when its password is next given.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::operator;
use crate::router::router;
use crate::testing::app_in;

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "vapor-lantern-thirteen-oak";
const TODAY: &str = "$argon2id$v=19$m=19456,t=2,p=1$";
const WEAKER: &str = "$argon2id$v=19$m=8192,t=1,p=1$";

/// A program with one user, as an application meets it.
struct Fixture {
    app: Arc<App>,
    key: String,
    user_id: UserId,
    _directory: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let app = app_in(directory.path()).await;
        let key = operator::issue_api_key(&app, "webshop", &["users:write", "login"], None).await.unwrap();
        let key = key.as_str().to_owned();
        let body = json!({ "email": EMAIL, "display_name": "Ada", "password": PASSWORD });
        let (status, registered) = post(&app, &key, "/v1/users", &body).await;
        assert_eq!(status, StatusCode::CREATED);
        let user_id = registered["id"].as_str().unwrap().parse().unwrap();
        Self { app, key, user_id, _directory: directory }
    }

    async fn sign_in(&self, password: &str) -> StatusCode {
        let body = json!({ "email": EMAIL, "password": password });
        post(&self.app, &self.key, "/v1/logins", &body).await.0
    }

    /// The password's vault row and the hash in it.
    async fn hash(&self) -> (PasswordId, String) {
        let credentials = self.app.credentials_of(self.user_id).await.unwrap().unwrap();
        let (id, phc) = credentials.password.unwrap();
        (id, phc.as_str().to_owned())
    }

    /// Replaces the hash by one of the same password with weaker parameters, as an older program
    /// would have left it.
    async fn weaken(&self) {
        let params = Params::new(8 * 1024, 1, 1, None).unwrap();
        let weaker = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let phc = weaker.hash_password_with_salt(PASSWORD.as_bytes(), &[7; 16]).unwrap().to_string();
        assert!(phc.starts_with(WEAKER), "{phc}");
        let (id, _) = self.hash().await;
        let loaded = self.app.store.load::<User>(self.user_id, None).await.unwrap();
        let key = loaded.data_key(&self.app.vault).unwrap();
        let sealed = key.seal(Purpose::PasswordHash, &id.to_string(), phc.as_bytes()).unwrap();
        let row = [id.to_string().into(), sealed.as_str().to_owned().into()];
        self.app.database.write("UPDATE vault SET sealed = $2 WHERE row_id = $1", &row).await.unwrap();
        assert_eq!(self.hash().await, (id, phc));
    }

    async fn events(&self) -> i64 {
        self.app.store.load::<User>(self.user_id, None).await.unwrap().sequence
    }
}

async fn post(app: &Arc<App>, key: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = axum::http::Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = router(Arc::clone(app)).oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn s15_a_right_sign_in_replaces_a_weaker_hash() {
    let fixture = Fixture::new().await;
    fixture.weaken().await;
    let (id, weaker) = fixture.hash().await;
    assert_eq!(fixture.sign_in(PASSWORD).await, StatusCode::OK);
    let (same_id, stronger) = fixture.hash().await;
    assert!(stronger.starts_with(TODAY), "{stronger}");
    assert_ne!(stronger, weaker);
    assert_eq!(same_id, id, "it is the same password, so no event says that there is another");
    assert_eq!(fixture.sign_in(PASSWORD).await, StatusCode::OK);
    assert_eq!(fixture.sign_in("vapor-lantern-thirteen-elm").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn s15_a_wrong_sign_in_leaves_a_weaker_hash_as_it_is() {
    let fixture = Fixture::new().await;
    fixture.weaken().await;
    let before = fixture.hash().await;
    assert_eq!(fixture.sign_in("vapor-lantern-thirteen-elm").await, StatusCode::UNAUTHORIZED);
    assert_eq!(fixture.hash().await, before);
}

#[tokio::test]
async fn s15_a_hash_of_today_is_left_as_it_is() {
    let fixture = Fixture::new().await;
    let before = fixture.hash().await;
    assert!(before.1.starts_with(TODAY), "{}", before.1);
    assert_eq!(fixture.sign_in(PASSWORD).await, StatusCode::OK);
    assert_eq!(fixture.hash().await, before);
}

#[tokio::test]
async fn hashing_anew_is_no_event() {
    let fixture = Fixture::new().await;
    let events = fixture.events().await;
    assert_eq!(fixture.sign_in(PASSWORD).await, StatusCode::OK);
    let of_a_sign_in = fixture.events().await - events;
    fixture.weaken().await;
    let events = fixture.events().await;
    assert_eq!(fixture.sign_in(PASSWORD).await, StatusCode::OK);
    assert_eq!(fixture.events().await - events, of_a_sign_in);
}
