//! The real gateway behind us: where it is, how it is spoken to, and what passes between it and a client.

pub mod access;
pub mod advice;
mod bridge;
mod connect;
mod dial;
mod endpoint;
mod forward;
mod frames;
mod handle;
mod hello;
mod link;
pub(in crate::core) mod passes;
pub mod request;
pub mod resource;
mod scrub;
mod settings;
mod state;
mod verdict;

pub use endpoint::Endpoint;
pub use endpoint::EndpointError;
pub use forward::Forward;
pub use handle::Upstream;
pub use handle::UpstreamError;
pub use link::CallFailure;
pub use settings::Mode;
pub use settings::Open;
pub use settings::OpenPath;
pub use settings::OpenPathError;
pub use settings::Settings;
pub use state::Reason;
pub use state::State;
pub use state::Unreachable;

pub(super) use crate::protocol::refusal::Upstream as Told;
pub(super) use dial::Line;
pub(super) use frames::Addressee;
pub(super) use frames::addressee;
pub(super) use frames::passed;
pub(super) use handle::Page;
pub(super) use hello::is_ours;
pub(super) use hello::merge;
