//! Who may change something: HTTP Basic logins (RFC 7617).
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpRequest, HttpResponse},
};
use tower::{Layer, Service};

use crate::timed_body::TimedBody;

/// The user whose password is the cookie, as Bitcoin calls it.
const COOKIE_USER: &str = "__cookie__";

/// Who may call the methods that change something.
#[derive(Clone, Debug)]
pub enum RpcAccess {
    /// Whoever reaches the address.
    Everybody,
    /// Whoever knows one of these.
    Logins(Vec<RpcLogin>),
}

/// A user's name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct RpcLogin {
    text: String,
}

/// A text that is no login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a login is USER:PASSWORD in one line, both not empty")]
pub struct RpcLoginError;

impl RpcLogin {
    /// The login of a cookie file: a password that is new at every start.
    #[must_use]
    pub fn cookie(secret: &[u8; 32]) -> Self {
        Self { text: format!("{COOKIE_USER}:{}", hex::encode(secret)) }
    }

    /// Reads `USER:PASSWORD`, with or without the end of a line.
    ///
    /// # Errors
    /// [`RpcLoginError`].
    pub fn parse(text: &str) -> Result<Self, RpcLoginError> {
        let text = text.trim_end_matches(['\r', '\n']);
        let parts = text.split_once(':').ok_or(RpcLoginError)?;
        let is_plain = !text.chars().any(char::is_control);
        match parts {
            (user, password) if is_plain && !user.is_empty() && !password.is_empty() => {
                Ok(Self { text: text.to_owned() })
            }
            _ => Err(RpcLoginError),
        }
    }

    /// `USER:PASSWORD`, as a file holds it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What the header `Authorization` holds.
    pub(crate) fn header(&self) -> String {
        format!("Basic {}", base64(self.text.as_bytes()))
    }
}

/// Never shows the password.
impl fmt::Debug for RpcLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RpcLogin(..)")
    }
}

/// Mark of a request whose sender may change something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoggedIn;

/// Reads the login of each request. One that is wrong is refused whatever was asked for, so that its owner notices; none at all leaves
/// the methods that only look.
#[derive(Clone, Debug)]
pub(crate) struct LoginLayer {
    /// Headers that are taken; nothing if everybody may change something.
    headers: Option<Arc<[String]>>,
    /// A request's body must be there within this.
    body_patience: Duration,
}

impl LoginLayer {
    pub(crate) fn new(access: &RpcAccess, body_patience: Duration) -> Self {
        let headers = match access {
            RpcAccess::Everybody => None,
            RpcAccess::Logins(logins) => Some(logins.iter().map(RpcLogin::header).collect()),
        };
        Self { headers, body_patience }
    }

    fn judge<B>(&self, request: &HttpRequest<B>) -> Verdict {
        let Some(known) = &self.headers else { return Verdict::LoggedIn };
        let Some(given) = request.headers().get("authorization") else { return Verdict::Anonymous };
        let is_known = known.iter().fold(false, |found, header| found | is_same(header.as_bytes(), given.as_bytes()));
        if is_known { Verdict::LoggedIn } else { Verdict::Wrong }
    }
}

enum Verdict {
    LoggedIn,
    Anonymous,
    Wrong,
}

impl<S> Layer<S> for LoginLayer {
    type Service = LoginService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LoginService { inner, layer: self.clone() }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct LoginService<S> {
    inner: S,
    layer: LoginLayer,
}

impl<S, B> Service<HttpRequest<B>> for LoginService<S>
where
    S: Service<HttpRequest<TimedBody<B>>, Response = HttpResponse>,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send + 'static>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: HttpRequest<B>) -> Self::Future {
        match self.layer.judge(&request) {
            Verdict::Wrong => return Box::pin(std::future::ready(Ok(refused()))),
            Verdict::Anonymous => {}
            Verdict::LoggedIn => {
                request.extensions_mut().insert(LoggedIn);
            }
        }
        let answer = self.inner.call(request.map(|body| TimedBody::new(body, self.layer.body_patience)));
        Box::pin(async move { answer.await.map_err(Into::into) })
    }
}

fn refused() -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from("this login is not known; a cookie is new at every start\n"));
    // Neither conversion of these constants can fail.
    if let Ok(status) = 401_u16.try_into() {
        *response.status_mut() = status;
    }
    if let Ok(challenge) = "Basic realm=\"bq\"".try_into() {
        response.headers_mut().insert("www-authenticate", challenge);
    }
    response
}

/// Takes as long for any text of the same length: how far a guess is right must not show.
fn is_same(ours: &[u8], given: &[u8]) -> bool {
    ours.len() == given.len()
        && ours.iter().zip(given).fold(0, |difference, (one, other)| difference | (one ^ other)) == 0
}

/// RFC 4648 section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |value: u32| DIGITS.get((value & 63) as usize).map_or('=', |digit| char::from(*digit));
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        let digits = [bits >> 18, bits >> 12, bits >> 6, bits].map(digit);
        text.extend(digits.iter().take(group.len() + 1));
        text.extend(std::iter::repeat_n('=', 3 - group.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in cases {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn a_login_is_a_user_and_a_password() {
        // RFC 7617 section 2.
        let login = RpcLogin::parse("Aladdin:open sesame\n").expect("a login");
        assert_eq!(login.header(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(RpcLogin::parse("a:b:c").expect("a colon in the password").expose(), "a:b:c");
        for text in ["", ":", "user", "user:", ":password", "user:pass\nmore", "us\ter:password"] {
            assert_eq!(RpcLogin::parse(text), Err(RpcLoginError), "{text:?}");
        }
        let cookie = RpcLogin::cookie(&[0xab; 32]);
        assert_eq!(RpcLogin::parse(cookie.expose()), Ok(cookie.clone()));
        assert_eq!(format!("{cookie:?}"), "RpcLogin(..)");
    }
}
