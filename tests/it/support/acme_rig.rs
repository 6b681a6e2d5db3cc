//! doorward in front of names whose certificates come from CAs of the tests' own, and how each of them stands.

use serde_json::Value;

use super::fake_acme::FakeAcme;
use super::instance::Instance;

/// A certificate that is to be had from one of the fake's CAs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) ca: &'a str,
    /// Further lines of its table.
    pub(crate) more: &'a str,
}

impl<'a> Wanted<'a> {
    pub(crate) fn of(name: &'a str, ca: &'a str) -> Self {
        Self { name, ca, more: "" }
    }
}

/// doorward in front of all names of `wanted`.
pub(crate) fn configuration(fake: &FakeAcme, wanted: &[Wanted<'_>]) -> String {
    let names: Vec<_> = wanted.iter().map(|wanted| format!("\"{}\"", wanted.name)).collect();
    let mut text = format!(
        "[edge]\nnames = [{}]\n[[listener]]\nname = \"web\"\nbind = [\"127.0.0.1:443\"]\n\
         [[listener]]\nname = \"plain\"\nbind = [\"127.0.0.1:80\"]\nprotocol = \"http\"\n",
        names.join(", ")
    );
    for Wanted { name, ca, more } in wanted {
        let (directory, root) = (fake.directory(ca), fake.root_file());
        text.push_str(&format!(
            "[[certificates.acme]]\nnames = [\"{name}\"]\ndirectory = \"{directory}\"\nroot_file = \"{root}\"\n{more}\n"
        ));
    }
    text
}

/// How the certificate of a CA for `name` stands, as `status` tells it.
pub(crate) fn standing(instance: &Instance<'_>, name: &str) -> Value {
    let status = instance.json(&["status"]);
    let mut all = status["certificates"].as_array().unwrap().iter();
    all.find(|one| one["source"] == "acme" && one["names"][0] == name).unwrap().clone()
}
