//! A request on its way up: judged by who sends it, and handed to whoever carries it with all that goes up and nothing else.
//!
//! Promise: what a caller says of itself is looked at here, and counted here, before anything of the request goes up. A device's
//! token is looked at whatever its address has done: nobody guesses one, and a neighbour who guesses the secret locks no
//! paired device out.

use std::net::SocketAddr;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::header::AUTHORIZATION;
use http::header::HOST;
use http::request::Parts;
use tracing::error;
use tracing::warn;

use crate::base::limits::UPSTREAM_LOOKS_MAX;
use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;
use crate::core::Core;
use crate::core::Inner;
use crate::core::refusal::Refusal;
use crate::core::routes;
use crate::core::upstream::Settings;
use crate::core::upstream::Upstream;
use crate::core::upstream::access;
use crate::core::upstream::access::Credential;
use crate::core::upstream::access::Denial;
use crate::core::upstream::access::Facts;
use crate::core::upstream::access::Opened;
use crate::core::upstream::access::Page;
use crate::core::upstream::access::Passage;
use crate::core::upstream::access::Place;
use crate::core::upstream::access::Way;
use crate::core::upstream::passes::Asker;
use crate::core::upstream::passes::Holder;
use crate::core::upstream::passes::NoPlace;
use crate::core::upstream::passes::Pass;
use crate::core::upstream::request;
use crate::core::upstream::request::Destination;
use crate::core::upstream::resource::Body;
use crate::core::upstream::resource::Resource;
use crate::core::upstream::scrub::End;
use crate::core::upstream::scrub::Scrubber;
use crate::core::upstream::scrub::scrub_headers;
use crate::core::upstream::spelling::is_admin_rpc;
use crate::core::upstream::state::Reason;
use crate::identity::claims::OriginClaim;
use crate::net::host::Scheme;
use crate::pairing::caller::CallerKey;
use crate::pairing::paired::Generation;
use crate::pairing::queue::Standing;
use crate::pairing::request::Repair;
use crate::pairing::step::Verdict;
use crate::pairing::throttle::Subject;
use crate::protocol::scope::Scope;
use crate::store::StoreError;

/// What is ours at every path, whatever stands behind us: the first segment.
const OURS: [&str; 3] = [".well-known", "doorward", "metrics"];

/// A request that goes up.
#[derive(Debug)]
pub struct Forward {
    /// The head, whole.
    pub head: Parts,
    /// Where to.
    pub address: SocketAddr,
    /// The name or bare address that the upstream must prove to be, where it speaks TLS; empty if no certificate can have it.
    pub server_name: Option<String>,
    /// Whether it came from somebody who may do everything: nobody else keeps a cookie that the upstream gives to our token.
    pub is_admins: bool,
    /// Whether a person's browser asks for the page.
    pub is_page: bool,
    scheme: Scheme,
    secrets: Vec<Secret<String>>,
    scrubber: Option<Scrubber>,
    pass: Pass,
}

impl Forward {
    /// Whether what let it through was taken back: nothing more of it may pass, either way.
    pub fn is_over(&self) -> bool {
        self.pass.is_over()
    }

    /// Takes the upstream's secrets out of the headers of its answer.
    pub fn scrub_headers(&mut self, headers: &mut HeaderMap) {
        let secrets = std::mem::take(&mut self.secrets);
        scrub_headers(headers, &secrets);
        self.scrubber = Scrubber::of(headers, secrets);
    }

    /// A piece of the answer's body without them.
    pub fn next_piece(&mut self, piece: Option<Bytes>) -> Option<Bytes> {
        self.scrubbed(piece, End::No)
    }

    /// The last piece of the answer's body without them, and what was kept back of those before.
    pub fn last_piece(&mut self, piece: Option<Bytes>) -> Option<Bytes> {
        self.scrubbed(piece, End::Yes)
    }

    /// Where the upstream leads to, without the name by which only we know it; nothing where it leads to somebody else.
    pub fn of_ours(&self, location: &HeaderValue) -> Option<HeaderValue> {
        let origin = format!("{}://{}", self.scheme.as_str(), self.head.headers.get(HOST)?.to_str().ok()?);
        let place = location.to_str().ok()?.strip_prefix(&origin)?;
        match place.as_bytes().first() {
            None => Some(HeaderValue::from_static("/")),
            // Two slashes would name another host (RFC 3986 §4.2).
            Some(b'/') if !place.starts_with("//") => HeaderValue::try_from(place).ok(),
            Some(_) => None,
        }
    }

    fn scrubbed(&mut self, piece: Option<Bytes>, end: End) -> Option<Bytes> {
        match &mut self.scrubber {
            Some(scrubber) => scrubber.pass(piece, end),
            None => piece,
        }
    }
}

impl Core {
    /// Whether a request for `path` goes to the upstream, if its sender may.
    pub fn forwards(&self, path: &str) -> bool {
        let first = path.split('/').nth(1).unwrap_or_default();
        self.upstream().is_some() && !OURS.contains(&first)
    }

    /// Judges a request for the upstream. `sealed` is its head as the edge signed it, which says nothing of its framing any
    /// more; `came` are the headers as the caller sent them.
    ///
    /// # Errors
    /// The answer to send instead.
    pub async fn forward(
        &self,
        sealed: &Parts,
        came: &HeaderMap,
        body: Body,
        page: Page,
    ) -> Result<Forward, Response<Bytes>> {
        let refuse = |refusal| Err(routes::refuse(refusal));
        let verified = self.inner.verifier.verify_request(sealed);
        let verified = verified.map_err(|error| routes::without_assertion(&error))?;
        let Some(upstream) = self.upstream() else { return refuse(Refusal::NotFound) };
        let origin = &verified.claims().origin;
        if is_admin_rpc(sealed.uri.path()) {
            return refuse(Refusal::AdminRpc);
        }
        let resource = Resource::of(sealed, body);
        let mut looks = 0;
        let (passage, pass) = loop {
            let moment = self.inner.passes.moment();
            let judged = self.inner.judge_passage(sealed, resource, page, origin, upstream.settings()).await;
            let (passage, holder) = match judged {
                Ok(Ok(judged)) => judged,
                Ok(Err(denial)) => return refuse(denial.into()),
                Err(fault) => {
                    error!(%fault, hint = %fault.hint(), "request not decided");
                    return refuse(Refusal::Unanswered);
                }
            };
            looks += 1;
            let client = CallerKey::of(origin);
            let asker = Asker { client, holder, standing: self.inner.lobby.standing(&client) };
            match self.inner.passes.enter(asker, moment) {
                Ok(pass) => break (passage, pass),
                Err(NoPlace::Stale) if looks < UPSTREAM_LOOKS_MAX => {}
                Err(NoPlace::Stale | NoPlace::Full) => return refuse(Refusal::TooManyRequests),
            }
        };
        if let Some(refusal) = withheld(upstream, &passage) {
            return refuse(refusal);
        }
        let address = match upstream.address().await {
            Ok(address) => address,
            Err(cause) => {
                warn!(error = %cause, "the upstream has no address");
                return refuse(Refusal::UpstreamUnreachable);
            }
        };
        forwarded(upstream, address, sealed, came, &passage, pass).map_err(|error| {
            error!(%error, "no head for the upstream");
            routes::refuse(Refusal::Unanswered)
        })
    }
}

/// Why a request that would show the upstream its token does not go up.
fn withheld(upstream: &Upstream, passage: &Passage) -> Option<Refusal> {
    let reason = upstream.withholds().filter(|_| matches!(passage.way(), Way::Admitted(_)))?;
    Some(if reason == Reason::LockedOut { Refusal::UpstreamLocked } else { Refusal::UpstreamToken })
}

fn forwarded(
    upstream: &Upstream,
    address: SocketAddr,
    sealed: &Parts,
    came: &HeaderMap,
    passage: &Passage,
    pass: Pass,
) -> Result<Forward, request::RequestError> {
    let (settings, token) = (upstream.settings(), upstream.token());
    let endpoint = &settings.endpoint;
    let (scheme, name) = (endpoint.scheme(), endpoint.server_name());
    let (authority, word) = (upstream.authority(address), HeaderMap::new());
    let to = Destination { authority: &authority, scheme, token: token.as_ref(), mode: settings.mode, word: &word };
    Ok(Forward {
        head: request::head(sealed, came, passage, to)?,
        address,
        server_name: (scheme == Scheme::Https).then(|| name.map(|name| name.to_str().into_owned()).unwrap_or_default()),
        is_admins: matches!(passage.way(), Way::Admitted(scopes) if scopes.covers(&Scope::ADMIN)),
        is_page: matches!(passage.way(), Way::Public(Resource::Document | Resource::Place)),
        scheme,
        secrets: upstream.secrets().spelled(),
        scrubber: None,
        pass,
    })
}

impl Inner {
    async fn judge_passage(
        &self,
        sealed: &Parts,
        resource: Resource,
        page: Page,
        origin: &OriginClaim,
        settings: &Settings,
    ) -> Result<Result<(Passage, Holder), Denial>, StoreError> {
        let path = sealed.uri.path();
        let is_open = settings.open.iter().any(|open| open.opens(&sealed.method, path));
        let opened = if is_open { Opened::Yes } else { Opened::No };
        let (credential, holder) = match access::asks_who(resource, opened) {
            true => self.credential(&sealed.headers, origin, opened).await?,
            false => (Credential::Absent, Holder::Anybody),
        };
        let place = if origin.local { Place::Here } else { Place::Elsewhere };
        let facts = Facts { resource, opened, page, place, credential, mode: settings.mode };
        Ok(access::judge(facts).map(|passage| {
            let holder = if matches!(passage.way(), Way::Admitted(_)) { holder } else { Holder::Anybody };
            (passage, holder)
        }))
    }

    /// What a request says of its sender. A wrong secret counts exactly as in a `connect`, but not on an open path: hooks have
    /// secrets of their own.
    async fn credential(
        &self,
        headers: &HeaderMap,
        origin: &OriginClaim,
        opened: Opened,
    ) -> Result<(Credential, Holder), StoreError> {
        let Some(bearer) = bearer(headers) else { return Ok((Credential::Absent, Holder::Anybody)) };
        let token = Fingerprint::of(bearer.as_bytes());
        let generation = Generation::of(&self.secret.load());
        if let Some(device) = self.store.device_of_token(&token).await? {
            let living = device.grants.iter().find_map(|(role, grant)| {
                let issuer = grant.token.filter(|own| own.fingerprint == token)?.issuer;
                (grant.revoked_at.is_none() && issuer.holds(generation)).then_some((*role, issuer, grant))
            });
            if let Some((role, issuer, grant)) = living {
                let holder = Holder::Device { device: device.id(), role, issuer };
                return Ok((Credential::Device { role, scopes: grant.scopes.clone() }, holder));
            }
        }
        let is_secret = self.secret.load().is(bearer);
        let found =
            || if is_secret { (Credential::Secret, Holder::Secret) } else { (Credential::Wrong, Holder::Anybody) };
        if opened == Opened::Yes {
            return Ok(found());
        }
        let subject = Subject::Caller(CallerKey::of(origin), Standing::of(origin, Repair::No));
        let reserved = self.throttle().reserve(subject, self.clock.uptime());
        let reservation = match reserved {
            Ok(reservation) => reservation,
            Err(locked) => {
                return Ok((Credential::Locked { retry_after_ms: locked.retry_after_ms() }, Holder::Anybody));
            }
        };
        let verdict = if is_secret { Verdict::Right } else { Verdict::Wrong };
        self.throttle().settle(reservation, verdict, self.clock.uptime());
        Ok(found())
    }
}

/// The token in the one `Authorization: Bearer` (RFC 6750 §2.1). Two lines, and any other scheme, say nothing.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let line = lines.next().filter(|_| lines.next().is_none())?.to_str().ok()?;
    let (scheme, token) = line.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::CredentialMissing => Self::CredentialMissing,
            Denial::CredentialWrong => Self::CredentialWrong,
            Denial::DeviceMissing => Self::DeviceMissing,
            Denial::Locked { retry_after_ms } => Self::CredentialLocked { retry_after_ms },
            Denial::OperatorMissing => Self::OperatorMissing,
            Denial::PageForeign => Self::PageForeign,
            Denial::ScopeMissing => Self::ScopeMissing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_bearer_is_read() {
        for (lines, expected) in [
            (&["Bearer abc"][..], Some("abc")),
            (&["bearer  abc "], Some("abc")),
            (&["Bearer abc", "Bearer abc"], None),
            (&["Basic abc"], None),
            (&["Bearer"], None),
            (&["Bearer  "], None),
            (&["Bearerabc"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(AUTHORIZATION, HeaderValue::from_static(line));
            }
            assert_eq!(bearer(&headers), expected, "{lines:?}");
        }
    }
}
