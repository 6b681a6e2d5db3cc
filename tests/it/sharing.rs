//! Promise: on a connection that many callers share behind a proxy, each request is signed with its own caller.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::support::instance::Instance;
use crate::support::keep::Kept;
use crate::support::namespace::Namespace;
use crate::support::peer::nginx;

const EDGE: &str = r#"
[edge]
names = ["10.79.0.1"]

[[listener]]
name = "plain"
bind = ["10.79.0.1:8080"]
protocol = "http"
serve = "all"
client_ip_header = "x-forwarded-for"
trusted_proxies = ["10.79.0.1"]

[[listener]]
name = "tls"
bind = ["10.79.0.1:8443"]
protocol = "https"
client_ip_header = "x-forwarded-for"
trusted_proxies = ["10.79.0.1"]
"#;

/// One connection to doorward is kept for all callers.
const NGINX: &str = "
  upstream plain { server 10.79.0.1:8080; keepalive 1; }
  upstream tls { server 10.79.0.1:8443; keepalive 1; }
  proxy_http_version 1.1;
  proxy_set_header Connection '';
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto https;
  server { listen 10.79.0.1:9003; location / { proxy_pass http://plain; } }
  server { listen 10.79.0.1:9004; location / { proxy_pass https://tls; } }
";

#[test]
fn callers_who_share_a_pooled_connection_never_share_an_origin() {
    let machine = Namespace::new();
    for address in ["10.79.0.1/32", "10.79.0.2/32", "10.79.0.3/32"] {
        machine.address("lo", address);
    }
    let _doorward = Instance::start(&machine, EDGE);
    let _nginx = nginx(&machine, NGINX, "10.79.0.1:9003");
    machine.block_on(|| async {
        for (proxy, listener) in [("10.79.0.1:9003", "plain"), ("10.79.0.1:9004", "tls")] {
            let sources: [IpAddr; 2] = ["10.79.0.2", "10.79.0.3"].map(|source| source.parse().unwrap());
            let mut callers = [Kept::open_from(sources[0], proxy).await, Kept::open_from(sources[1], proxy).await];
            let mut connections = HashSet::new();
            for _ in 0..20 {
                for (caller, source) in callers.iter_mut().zip(sources) {
                    let seen = caller.whoami(&[]).await.unwrap();
                    assert_eq!((&seen["client_ip"], &seen["listener"]), (&source.to_string().into(), &listener.into()));
                    connections.insert(seen["connection"].as_str().unwrap().to_owned());
                }
            }
            assert_eq!(connections.len(), 1, "nginx pooled nothing, so this showed nothing: {connections:?}");
        }
    });
}
