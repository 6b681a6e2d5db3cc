//! doorward, the front door of an OpenClaw gateway. This file is the map.
//!
//! The modules below stand bottom-up: each imports only from those listed before it, and
//! `tests/tidy.rs` enforces that. The four nouns (`origin`, `identity`, `protocol`, `pairing`) are
//! pure: facts, settings and `now` go in, a value comes out. No socket, no disk, no runtime, and no time but what they
//! are handed: the signer and verifier of [`identity`], which live as long as the process, hold a
//! [`base::clock::Clock`] in place of a `now`. Random bytes they take from the kernel themselves.
//!
//! # Life of a connection
//! `TcpStream -> PeerAddr -> [PROXY header] -> TLS -> EdgeIo`: [`listener`] accepts within its
//! caps, reads a PROXY header where one is required, asks the kernel who owns a loopback peer's
//! socket and [`tailscale`] whose node a tailnet's peer is, ends TLS with a certificate of
//! [`certificates`], and hands the stream to [`edge`].
//!
//! # Life of a request
//! `origin -> limits -> route -> strip -> sign -> core -> access log`: [`edge`] asks [`origin`] who
//! is calling, reads the identity token of a trusted proxy (its issuer's keys
//! are in [`jwk_sets`]), removes every look-alike of a header we own, signs what it found ([`identity`]) and
//! hands the request to [`core`], which believes nothing but that signature. `/doorward/ca` is [`onboarding`]'s page, shown
//! by `edge::ca`.
//! With an upstream it is `edge -> core's verdict -> upstream`: what core lets pass, edge forwards to the real gateway.
//!
//! # Life of a device
//! `connect.challenge -> DeviceClaim -> ProvenDevice -> PairedDevice | PendingRequest -> Session<Connected>`:
//! [`core`] speaks the [`protocol`], [`pairing`] decides, [`store`] makes it durable before anyone is told.
//! With an upstream it goes on, `Welcome -> Way -> Session<Bridged>`: our own device speaks there for whom we let in.
//!
//! What is refused or let in is kept for a while in [`decisions`], with the facts it was judged by; [`explain`] tells it.
//!
//! # Glossary
//! * *peer*: the other end of our own socket; the kernel vouches for it.
//! * *client*: the caller behind it, as far as somebody we trust vouches for it.
//! * *caller*: whoever a client is, as it is counted: its `CallerKey`.
//! * *speaker*: who says who the client is: the peer, or the source that its PROXY header names.
//! * *origin*: client, class, `local` yes or no, and how we know. Not the web's Origin, which is `WebOrigin`.
//! * *edge*: our own proxy. *core*: our own gateway core. *upstream*: a real OpenClaw gateway behind it.
//! * *link*: our own connection to the upstream, by which we know how it is and act there. *passage*: in which way a request
//!   may go up, and with whose credential. *forward*: a request that goes up, its head rewritten.
//! * *assertion*: the signed origin that edge puts on a request to core.
//! * *decision*: what was made of a request or a connect, with the facts it was judged by. *code*: the name of one
//!   refusal, in the answer and in the log; it tells nothing by itself.
//! * *device*: an Ed25519 key with an id; *paired* when an owner approved it; *pending* until then.
//! * *invite*: a one-time link by which the owner lets in whoever uses it first.
//! * *rule*: what the owner said beforehand of new devices: approve, ask or refuse.
//! * *import*: the taking over of devices that another gateway had paired, with the tokens they have.
//! * *local CA*: our own, for the names and addresses of a house; a *leaf* is what it signs.
//! * *seal*: the digest by which a record of the store is known for what was written.
//! * *access* is permission; *authorization* is only ACME's.

// What everything stands on.
pub mod base;
pub mod net;
pub mod telemetry;

// The four nouns: pure. Facts, settings and `now` go in, a value comes out.
pub mod origin;
pub mod identity;
pub mod protocol;
pub mod pairing;

// Memory.
pub mod store;

// Doors.
pub mod tailscale;
pub mod certificates;
pub mod jwk_sets;
pub mod listener;

// What was decided, for a while.
pub mod decisions;

// Moving in.
pub mod import;

// Services.
pub mod core;
pub mod onboarding;
pub mod edge;

// People.
pub mod explain;
pub mod metrics;
pub mod config;
pub mod admin;
pub mod app;
pub mod cli;
