//! `[[identity]]`: whose word is taken, checked against what, and from whom.

use super::*;
use crate::config::fault::identity::IdentityFault;
use crate::edge::identities::Settings;
use crate::identity::provider::Login;
use crate::identity::provider::keys::Algorithm;
use crate::jwk_sets::Place;

const LISTENERS: &str = "[[listener]]\nname = \"web\"\nbind = [\"10.0.0.5:443\"]\ntrusted_proxies = [\"10.0.0.2\"]\nclient_ip_header = \"x-real-ip\"\n[[listener]]\nname = \"bare\"\nbind = [\"10.0.0.5:444\"]\n";
const ACCESS: &str =
    "[[identity]]\nprovider = \"cloudflare-access\"\nissuer = \"https://t.cloudflareaccess.com\"\naudience = \"a\"\n";
const JWT: &str =
    "[[identity]]\nprovider = \"jwt\"\nissuer = \"i\"\naudience = \"a\"\nkeys_file = \"k\"\nheader = \"x-id\"\n";

pub(super) fn refusals() -> Vec<(String, Expected)> {
    let mut all: Vec<(String, Expected)> = Vec::new();
    let mut add = |text: String, expected: Expected| all.push((format!("{LISTENERS}{text}"), expected));
    add("«[[identity]]»\nissuer = \"i\"\naudience = \"a\"".into(), |f| *f == Fault::Missing { key: "provider" });
    add(ACCESS.replace("[[identity]]", "«[[identity]]»").replace("audience = \"a\"\n", ""), |f| {
        *f == Fault::Missing { key: "audience" }
    });
    add(ACCESS.replace("\"cloudflare-access\"", "«\"cloudflare-acces\"»"), |f| {
        matches!(f, Fault::UnknownValue { closest: Some("cloudflare-access"), .. })
    });
    for bad in ["t.cloudflareaccess.com", "https://t.cloudflareaccess.com/"] {
        let given = ACCESS.replace("\"https://t.cloudflareaccess.com\"", &format!("«\"{bad}\"»"));
        add(given, |f| matches!(f, Fault::Identity(IdentityFault::Issuer { .. })));
    }
    add(format!("{ACCESS}keys_url = «\"http://t.example/keys\"»"), |f| {
        matches!(f, Fault::Identity(IdentityFault::KeysUrl(_)))
    });
    add(format!("{ACCESS}keys_file = \"k\"\nroot_file = «\"r\"»"), |f| {
        *f == Fault::Identity(IdentityFault::KeysTwice { key: "root_file" })
    });
    add(format!("{ACCESS}header = «\"x-id\"»"), |f| matches!(f, Fault::Useless { key: "header", .. }));
    add(format!("{ACCESS}«hedaer» = \"x-id\""), |f| matches!(f, Fault::UnknownKey { closest: Some("header"), .. }));
    for bad in ["groups ", "gr\\u0000"] {
        add(format!("{ACCESS}groups_claim = «\"{bad}\"»"), |f| {
            matches!(f, Fault::Identity(IdentityFault::GroupsClaim(_)))
        });
    }
    add(format!("{ACCESS}groups_claim = «[\"groups\"]»"), |f| matches!(f, Fault::WrongType { .. }));
    add(format!("{ACCESS}name = «\"A b\"»"), |f| matches!(f, Fault::Name(_)));
    add(format!("{ACCESS}name = «\"tailscale\"»"), |f| matches!(f, Fault::Identity(IdentityFault::NameTaken(_))));
    add(format!("{ACCESS}listeners = [«\"wbe\"»]"), |f| matches!(f, Fault::Identity(IdentityFault::Listener { .. })));
    add(format!("{ACCESS}listeners = [\"web\", «\"bare\"»]"), |f| *f == Fault::Identity(IdentityFault::NeedsTrust));
    add(format!("{ACCESS}listeners = «[]»"), |f| *f == Fault::Identity(IdentityFault::NeedsTrust));
    add(format!("{ACCESS}{}name = \"b\"", ACCESS.replace("[[identity]]", "«[[identity]]»")), |f| {
        matches!(f, Fault::Identity(IdentityFault::HeaderTaken(_)))
    });
    add(JWT.replace("[[identity]]", "«[[identity]]»").replace("header = \"x-id\"\n", ""), |f| {
        *f == Fault::Missing { key: "header" }
    });
    add(JWT.replace("[[identity]]", "«[[identity]]»").replace("keys_file = \"k\"\n", ""), |f| {
        *f == Fault::Missing { key: "keys_url" }
    });
    for bad in ["authorization", "cookie", "x-forwarded-for", "x-real-ip", "x-doorward-assertion", "a b"] {
        add(JWT.replace("\"x-id\"", &format!("«\"{bad}\"»")), |f| {
            matches!(f, Fault::Identity(IdentityFault::Header { .. }))
        });
    }
    all.push((
        format!("[[listener]]\nbind = [\"10.0.0.5:443\"]\n{}", ACCESS.replace("[[identity]]", "«[[identity]]»")),
        |f| *f == Fault::Identity(IdentityFault::NeedsTrust),
    ));
    all
}

#[test]
fn what_is_not_said_follows_from_the_product() {
    let read = |text: &str| -> Settings {
        let mut config = parse(&format!("{LISTENERS}{text}")).unwrap();
        for listener in &config.listeners {
            assert!(listener.origin.is_forwarding(&config.identities[0].header), "it is nobody's own word anywhere");
        }
        config.identities.remove(0)
    };
    let access = read(ACCESS);
    assert_eq!(
        (access.expected.provider.as_str(), access.header.as_str()),
        ("cloudflare-access", "cf-access-jwt-assertion")
    );
    assert_eq!(access.expected.algorithms, [Algorithm::Rs256]);
    assert_eq!(access.keys.to_string(), "https://t.cloudflareaccess.com/cdn-cgi/access/certs");
    assert_eq!(access.listeners, ["web"], "all that trust a proxy, and no other");
    let iap = read("[[identity]]\nprovider = \"google-iap\"\naudience = \"/projects/1/apps/a\"\n");
    assert_eq!(iap.expected.issuer, "https://cloud.google.com/iap");
    let own = read(&format!("{JWT}login = \"preferred_username\"\nname = \"home\""));
    assert_eq!((own.expected.provider.as_str(), own.keys), ("home", Place::File("/etc/doorward/k".into())));
    assert_eq!(own.expected.login, Login::Claim("preferred_username".to_owned()));
    assert_eq!(access.expected.login, Login::Email);
    assert_eq!(read(JWT).expected.login, Login::VerifiedEmail, "whose addresses nobody vouches for");
}
