use std::fmt;

use http::{Uri, uri::Scheme};
use serde::{Deserialize, Serialize};

use crate::SettingRefusal;

/// Where notices of an account go: a place on the web, at most 256 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Webhook(String);

/// The parts of a webhook that a client needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookPlace {
    /// Encrypted, by TLS.
    pub is_secure: bool,
    /// A name, or an address; one of version 6 without its brackets.
    pub host: String,
    /// The port, also where it is the usual one.
    pub port: u16,
    /// Host and port as they were written.
    pub authority: String,
    /// What is asked for there.
    pub path: String,
}

impl Webhook {
    /// The longest in bytes.
    pub const BYTES_MAX: usize = 256;

    /// Reads one. Whether anybody may be called there is asked when somebody is.
    ///
    /// # Errors
    /// [`SettingRefusal::Webhook`].
    pub fn new(text: &str) -> Result<Self, SettingRefusal> {
        let bad = |reason| Err(SettingRefusal::Webhook(reason));
        if text.len() > Self::BYTES_MAX {
            return bad("it is longer than 256 bytes");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('#') {
            return bad("it has blanks, a fragment or letters that must be written as %XX");
        }
        match place(text) {
            Some(_) => Ok(Self(text.to_owned())),
            None => bad("it is no https://HOST[:PORT]/PATH or http://.., without a user's name"),
        }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts; there always are some.
    #[must_use]
    pub fn place(&self) -> Option<WebhookPlace> {
        place(&self.0)
    }
}

fn place(text: &str) -> Option<WebhookPlace> {
    let uri: Uri = text.parse().ok()?;
    let is_secure = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => false,
        _ => return None,
    };
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    // A port that cannot be read must not become the usual one.
    let port = match authority.as_str().strip_prefix(authority.host())? {
        "" => {
            if is_secure {
                443
            } else {
                80
            }
        }
        written => written.strip_prefix(':')?.parse().ok().filter(|port| *port > 0)?,
    };
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    (!host.is_empty()).then(|| WebhookPlace {
        is_secure,
        host: host.to_owned(),
        port,
        authority: authority.as_str().to_owned(),
        path,
    })
}

impl TryFrom<String> for Webhook {
    type Error = SettingRefusal;

    fn try_from(text: String) -> Result<Self, SettingRefusal> {
        Self::new(&text)
    }
}

impl From<Webhook> for String {
    fn from(webhook: Webhook) -> Self {
        webhook.0
    }
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
