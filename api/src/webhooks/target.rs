//! Where a webhook may be sent: what its address must look like, and whom its name may stand for.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;
use crate::config::Config;

const LENGTH_MAX_BYTES: usize = 2_048;

/// How far webhooks may reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// The public internet, over TLS.
    Public,
    /// This machine and private networks too, and without TLS.
    Anywhere,
}

/// Why nothing is sent to an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum TargetRefusal {
    #[error("url must be an absolute address such as https://siem.example/in")]
    Unreadable,
    #[error("url may have {LENGTH_MAX_BYTES} bytes at most")]
    TooLong,
    #[error("url must begin with https://")]
    NotHttps,
    #[error("url must not hold a user name or a password")]
    UserInfo,
    #[error("url must not have a fragment")]
    Fragment,
    #[error("url must not lead to this machine or into a private network")]
    NotPublic,
}

impl Reach {
    /// As configured.
    pub(crate) const fn of(config: &Config) -> Self {
        if config.webhook_private_targets { Self::Anywhere } else { Self::Public }
    }

    fn includes(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Anywhere => true,
        }
    }
}

/// Reads the address of a webhook. An address that is written as a number, in whichever spelling, is
/// judged here; what a name stands for is judged each time it is looked up.
pub(crate) fn parse(text: &str, reach: Reach) -> Result<Url, TargetRefusal> {
    if text.len() > LENGTH_MAX_BYTES {
        return Err(TargetRefusal::TooLong);
    }
    let url = Url::parse(text).map_err(|_| TargetRefusal::Unreadable)?;
    // The spelling that is kept may be longer.
    if url.as_str().len() > LENGTH_MAX_BYTES {
        return Err(TargetRefusal::TooLong);
    }
    match (url.scheme(), reach) {
        ("https", _) | ("http", Reach::Anywhere) => {}
        _ => return Err(TargetRefusal::NotHttps),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetRefusal::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(TargetRefusal::Fragment);
    }
    match url.host_str().map(literal) {
        None => Err(TargetRefusal::Unreadable),
        Some(Some(address)) if !reach.includes(address) => Err(TargetRefusal::NotPublic),
        Some(Some(_) | None) => Ok(url),
    }
}

/// The address that a host is; none for a name.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Looks names up and hands out only addresses within reach: what is connected to is what was judged.
pub(super) struct WithinReach(pub(super) Reach);

impl Resolve for WithinReach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            // The port is put in later.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let within: Vec<SocketAddr> =
                found.into_iter().filter(|address| reach.includes(address.ip())).collect();
            if within.is_empty() {
                return Err(Box::new(TargetRefusal::NotPublic) as Box<dyn Error + Send + Sync>);
            }
            Ok(Box::new(within.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_nothing_is_sent_to_are_refused() {
        use TargetRefusal::{Fragment, NotHttps, NotPublic, Unreadable, UserInfo};
        for (text, refusal) in [
            ("", Unreadable),
            ("siem.example/in", Unreadable),
            ("https://", Unreadable),
            ("https:///", Unreadable),
            ("https://siem example/", Unreadable),
            ("http://siem.example/in", NotHttps),
            ("ftp://siem.example/in", NotHttps),
            ("file:///etc/passwd", NotHttps),
            ("https://ada@siem.example/in", UserInfo),
            ("https://ada:secret@siem.example/in", UserInfo),
            ("https://:secret@siem.example/in", UserInfo),
            ("https://siem.example/in#here", Fragment),
            ("https://siem.example/in#", Fragment),
            ("https://127.0.0.1/in", NotPublic),
            ("https://127.1/in", NotPublic),
            ("https://2130706433/in", NotPublic),
            ("https://0x7f.1/in", NotPublic),
            ("https://0177.0.0.1/in", NotPublic),
            ("https://127.0.0.1./in", NotPublic),
            ("https://%31%32%37.0.0.1/in", NotPublic),
            ("https://\u{ff11}\u{ff12}\u{ff17}.0.0.1/in", NotPublic),
            ("https://[::1]/in", NotPublic),
            ("https://[::ffff:10.0.0.1]/in", NotPublic),
            ("https://[64:ff9b::a00:1]/in", NotPublic),
            ("https://0/in", NotPublic),
            ("https:\\\\10.0.0.1\\in", NotPublic),
            ("https:10.0.0.1", NotPublic),
        ] {
            assert_eq!(parse(text, Reach::Public), Err(refusal), "{text}");
        }
    }

    #[test]
    fn an_address_is_kept_in_one_spelling() {
        for (text, kept) in [
            ("https://siem.example", "https://siem.example/"),
            ("https://SIEM.example:443/in?key=1", "https://siem.example/in?key=1"),
            ("https://siem.example:8443/in\u{202e}", "https://siem.example:8443/in%E2%80%AE"),
            ("https://8.8.8.8/in", "https://8.8.8.8/in"),
            ("https://localhost/in", "https://localhost/in"),
        ] {
            assert_eq!(parse(text, Reach::Public).unwrap().as_str(), kept);
        }
    }

    #[test]
    fn an_address_has_2048_bytes_at_most_as_it_is_given_and_as_it_is_kept() {
        let long = |letter: &str, times| format!("https://siem.example/{}", letter.repeat(times));
        assert!(parse(&long("a", 2_048 - 21), Reach::Public).is_ok());
        assert_eq!(parse(&long("a", 2_048 - 20), Reach::Public), Err(TargetRefusal::TooLong));
        assert_eq!(parse(&long("\u{e6}", 1_000), Reach::Public), Err(TargetRefusal::TooLong));
    }

    #[test]
    fn private_addresses_and_plain_http_do_where_they_are_allowed() {
        for text in ["http://127.0.0.1:8080/in", "https://10.0.0.1/in", "http://[::1]/in"] {
            assert!(parse(text, Reach::Anywhere).is_ok(), "{text}");
        }
        assert_eq!(parse("ftp://10.0.0.1/", Reach::Anywhere), Err(TargetRefusal::NotHttps));
    }

    #[tokio::test]
    async fn a_name_that_stands_for_this_machine_is_not_looked_up_for_a_connection() {
        let name = || "localhost".parse::<Name>().unwrap();
        let refused = WithinReach(Reach::Public).resolve(name()).await.err().unwrap();
        assert_eq!(refused.downcast_ref(), Some(&TargetRefusal::NotPublic));
        let found = WithinReach(Reach::Anywhere).resolve(name()).await.unwrap();
        assert!(found.into_iter().all(|address| address.ip().is_loopback()));
    }
}
