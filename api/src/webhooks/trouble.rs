//! Why a receiver was not reached, in words of our own: what a connection says of its failure quotes the
//! receiver's name, and what came from there, such as its certificate.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter;

use rustls::CertificateError;

/// Why a receiver was not reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("its name was not found")]
    NoAddress,
    #[error("the connection was refused")]
    Refused,
    #[error("no way leads there")]
    NoRoute,
    #[error("the connection broke")]
    Broken,
    #[error("its certificate is for another name")]
    OtherName,
    #[error("its certificate has expired")]
    Expired,
    #[error("its certificate is not valid yet")]
    NotValidYet,
    #[error("its certificate is from an issuer that this machine does not trust")]
    UnknownIssuer,
    #[error("its certificate is not valid")]
    Certificate,
    #[error("TLS failed")]
    Tls,
    #[error("its answer is not HTTP")]
    NotHttp,
    #[error("the request failed")]
    Other,
}

impl Trouble {
    /// Of all that an error comes from, what is innermost and known names the reason.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        causes(error).filter_map(Self::known).last().unwrap_or(Self::Other)
    }

    fn known(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(Self::of_tls(error));
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return Self::of_http(error);
        }
        error.downcast_ref::<io::Error>().and_then(|error| Self::of_connection(error.kind()))
    }

    fn of_tls(error: &rustls::Error) -> Self {
        let rustls::Error::InvalidCertificate(error) = error else { return Self::Tls };
        if matches!(
            error,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        ) {
            return Self::OtherName;
        }
        if matches!(error, CertificateError::Expired | CertificateError::ExpiredContext { .. }) {
            return Self::Expired;
        }
        if matches!(error, CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) {
            return Self::NotValidYet;
        }
        if *error == CertificateError::UnknownIssuer { Self::UnknownIssuer } else { Self::Certificate }
    }

    fn of_http(error: &hyper::Error) -> Option<Self> {
        if error.is_parse() {
            return Some(Self::NotHttp);
        }
        let broken = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
        broken.then_some(Self::Broken)
    }

    fn of_connection(kind: ErrorKind) -> Option<Self> {
        if kind == ErrorKind::ConnectionRefused {
            return Some(Self::Refused);
        }
        if matches!(kind, ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown)
        {
            return Some(Self::NoRoute);
        }
        let broken = matches!(
            kind,
            ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::NotConnected
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof
        );
        broken.then_some(Self::Broken)
    }
}

/// An error, and all that it comes from.
pub(super) fn causes<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    iter::successors(Some(error), |error| cause(*error))
}

/// What an error comes from. One of input and output has no word of the error that it holds unless asked for it.
fn cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(held) => Some(held),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::InvalidMessage;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    /// As a connection hands it on.
    fn trouble(error: rustls::Error) -> Trouble {
        Trouble::of(&io::Error::other(io::Error::new(ErrorKind::InvalidData, error)))
    }

    fn of_certificate(error: CertificateError) -> Trouble {
        trouble(rustls::Error::InvalidCertificate(error))
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_and_nothing_of_it_is_quoted() {
        let for_another_name = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("siem.internal").unwrap(),
            presented: vec!["DnsName(\"other.internal\")".to_owned()],
        };
        let quoting = rustls::Error::InvalidCertificate(for_another_name.clone()).to_string();
        assert!(quoting.contains("siem.internal") && quoting.contains("other.internal"), "{quoting}");
        let told = of_certificate(for_another_name).to_string();
        assert_eq!(told, "its certificate is for another name");

        let [not_after, time] = [1, 2].map(|s| UnixTime::since_unix_epoch(Duration::from_secs(s)));
        for (error, expected) in [
            (CertificateError::NotValidForName, Trouble::OtherName),
            (CertificateError::Expired, Trouble::Expired),
            (CertificateError::ExpiredContext { time, not_after }, Trouble::Expired),
            (CertificateError::NotValidYet, Trouble::NotValidYet),
            (
                CertificateError::NotValidYetContext { time: not_after, not_before: time },
                Trouble::NotValidYet,
            ),
            (CertificateError::UnknownIssuer, Trouble::UnknownIssuer),
            (CertificateError::Revoked, Trouble::Certificate),
            (CertificateError::BadSignature, Trouble::Certificate),
        ] {
            assert_eq!(of_certificate(error), expected);
        }
    }

    #[test]
    fn whatever_else_is_wrong_with_tls_is_one_thing() {
        for error in [
            rustls::Error::General("siem.internal".to_owned()),
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType),
            rustls::Error::DecryptError,
        ] {
            assert_eq!(trouble(error), Trouble::Tls);
        }
    }

    #[test]
    fn a_connection_fails_in_words_of_our_own() {
        for (kind, expected) in [
            (ErrorKind::ConnectionRefused, Trouble::Refused),
            (ErrorKind::HostUnreachable, Trouble::NoRoute),
            (ErrorKind::NetworkUnreachable, Trouble::NoRoute),
            (ErrorKind::ConnectionReset, Trouble::Broken),
            (ErrorKind::UnexpectedEof, Trouble::Broken),
            (ErrorKind::PermissionDenied, Trouble::Other),
        ] {
            let error = io::Error::new(kind, "what 10.0.0.7 said");
            assert_eq!(Trouble::of(&error), expected);
            assert_eq!(Trouble::of(&io::Error::other(error)), expected);
        }
    }
}
