//! The secret of a webhook, and how what is sent is signed with it, as Standard Webhooks lays down.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::entropy::{self, NoEntropy};

const SECRET_BYTES: usize = 32;

/// Signs what is sent to one webhook.
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Draws a new one.
    pub(crate) fn draw() -> Result<Self, NoEntropy> {
        Ok(Self::from_bytes(Zeroizing::new(entropy::bytes::<SECRET_BYTES>()?.to_vec())))
    }

    /// One that the vault held.
    pub(crate) const fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// For sealing.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As it is shown, once.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("whsec_{}", STANDARD.encode(&*self.0)))
    }

    /// The value of `webhook-signature` for a message that is sent at this time.
    pub(crate) fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        // An HMAC takes keys of any length, so this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_signs_the_example_of_standard_webhooks() {
        let bytes = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let secret = Secret::from_bytes(Zeroizing::new(bytes));
        assert_eq!(secret.text().as_str(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_new_secret_has_256_bits_of_its_own() {
        let (one, other) = (Secret::draw().unwrap(), Secret::draw().unwrap());
        assert_eq!(one.as_bytes().len(), 32);
        assert_ne!(one.as_bytes(), other.as_bytes());
        assert_eq!(one.text().len(), "whsec_".len() + 44);
    }
}
