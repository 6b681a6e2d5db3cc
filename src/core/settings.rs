//! What an operator says of the core; what it is made of, [`super::Components`], is put together from this.

use std::path::Path;
use std::path::PathBuf;

use crate::core::upstream;
use crate::pairing::request::PendingLife;
use crate::pairing::rule::Rules;
use crate::store::keys::token::TokenSource;

/// `[core]` of the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The audience of the assertions that it takes.
    pub id: String,
    /// The operator's own file with the gateway token; without one that of the upstream, else ours under the state folder.
    pub token_file: Option<PathBuf>,
    /// For how long a device waits for a person.
    pub pending_life: PendingLife,
    /// Who is approved without being looked at, who waits for a person, who is refused.
    pub rules: Rules,
    /// The real gateway behind us, if there is one.
    pub upstream: Option<upstream::Settings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            id: "core".to_owned(),
            token_file: None,
            pending_life: PendingLife::default(),
            rules: Rules::default(),
            upstream: None,
        }
    }
}

impl Settings {
    /// Where the gateway token stands: that of the upstream is ours too, where no other is named.
    pub fn token(&self, state_dir: &Path) -> TokenSource {
        let of_upstream = || self.upstream.as_ref().and_then(|upstream| upstream.token_file.as_deref());
        TokenSource::of(self.token_file.as_deref().or_else(of_upstream), state_dir)
    }
}
