//! The real gateway behind us: where it is and how it is spoken to.

pub mod access;
mod endpoint;
pub mod request;
pub mod resource;
mod settings;

pub use endpoint::Endpoint;
pub use endpoint::EndpointError;
pub use settings::Mode;
pub use settings::Open;
pub use settings::OpenPath;
pub use settings::OpenPathError;
pub use settings::Settings;
