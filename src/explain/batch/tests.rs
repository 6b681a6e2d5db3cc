//! Tables of the batch form.

use serde_json::Value;
use serde_json::json;

use super::*;

#[test]
fn a_line_holds_exactly_the_promised_fields() {
    let case = json!({"id": "A-1", "peer": "10.0.0.2", "trusted_proxies": ["10.0.0.0/24"], "reason": "passed over",
        "listener": {"client_ip_header": "X-Forwarded-For"}, "headers": [["X-Forwarded-For", "203.0.113.9, 10.0.0.7"]]});
    let expected = "{\"id\":\"A-1\",\"kind\":\"ip\",\"ip\":\"203.0.113.9\",\"local\":false,\"class\":\"public\",\
        \"trace\":[\"peer: 10.0.0.2\",\"passed: 10.0.0.7\",\"a trusted proxy speaks for the client\",\
        \"trusted proxies in the header were passed\",\"the nearest hop that is not a trusted proxy is the client\",\
        \"public: an address like any other\",\"not local: this listener calls nobody local\",\"client: 203.0.113.9\"]}\n";
    assert_eq!(written(&case.to_string()).unwrap(), expected);
}

#[test]
fn an_object_with_vectors_and_lines_say_the_same() {
    let cases = [json!({"id": 1, "peer": "192.0.2.1"}), json!({"id": 2, "peer": "192.0.2.2"})];
    let lines = format!("{}\n\n  {}\n", cases[0], cases[1]);
    let document = serde_json::to_string_pretty(&json!({"schema": 1, "vectors": cases})).unwrap();
    assert_eq!(written(&lines).unwrap(), written(&document).unwrap());
    assert_eq!(written(&lines).unwrap().lines().count(), 2);
    assert_eq!(written("").unwrap(), "");
}

#[test]
fn every_kind_is_reached() {
    let proxy = |bytes: Value| {
        json!({"peer": "10.0.0.2", "proxy_header": bytes,
            "listener": {"proxy_protocol": "required", "proxy_protocol_from": ["10.0.0.2"]}})
    };
    let headers =
        |headers: Value| json!({"peer": "127.0.0.1", "listener": {"local_listener": true}, "headers": headers});
    let listener = |listener: Value| json!({"peer": "10.0.0.2", "listener": listener});
    let many: Vec<_> = (0..101).map(|_| ["a", "b"]).collect();
    for (case, kind) in [
        (json!({"peer": "192.0.2.1"}), "ip"),
        (json!({"peer": "fe80::1%eth0"}), "ip"),
        (json!({"peer": "0.0.0.0"}), "reject_connection"),
        (json!({"peer": "unix:"}), "reject_connection"),
        (json!({"peer": "192.0.2.1", "trusted_proxies": ["0.0.0.0/0"]}), "config_reject"),
        (json!({"peer": "192.0.2.1", "trusted_proxies": ["10.0.0.0/8"]}), "ip"),
        (json!({"peer": "192.0.2.1", "trusted_proxies": ["cloudflare"]}), "ip"),
        (json!({"peer": "192.0.2.1", "trusted_proxies": ["10.0.0.1", "fastly"]}), "config_reject"),
        (json!({"peer": "192.0.2.1", "proxy_header": {"text": "PROXY UNKNOWN\r\n"}}), "reject"),
        (json!({"peer": "192.0.2.1", "proxy_header": {"text": "GET / HTTP/1.1\r\n"}}), "ip"),
        (json!({"peer": "192.0.2.1", "proxy_header": {"hex": "160301"}}), "ip"),
        (listener(json!({"client_ip_header": "x-real-ip"})), "ip"),
        (listener(json!({"client_ip_header": "host"})), "config_reject"),
        (listener(json!({"proxy_protocol": "auto"})), "config_reject"),
        (listener(json!({"proxy_protocol": "required", "proxy_protocol_from": ["*"]})), "config_reject"),
        (listener(json!({"proxy_protocol": "required"})), "reject_connection"),
        (proxy(Value::Null), "reject_connection"),
        (proxy(json!({"text": "PROXY UNKNOWN\r\n"})), "ip"),
        (proxy(json!({"text": "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n"})), "ip"),
        (proxy(json!({"text": "PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n"})), "reject"),
        (proxy(json!({"text": "PROXY TCP4 127.0.0.1 10.0.0.1 1 2\r\n"})), "unresolved"),
        (proxy(json!({"text": "PROXY TCP4"})), "reject_connection"),
        (proxy(json!({"text": "GET / HTTP/1.1\r\n"})), "reject_connection"),
        (proxy(json!({"hex": "0d0a0d0a000d0a515549540a20000000"})), "ip"),
        (proxy(json!({"hex": "0d0"})), "reject_connection"),
        (proxy(json!({"hex": "zz"})), "reject_connection"),
        (headers(json!([["Host", "a"], ["Host", "b"]])), "reject"),
        (headers(json!([["Host", "localhost"], ["Origin", "https://evil.example"]])), "reject"),
        (headers(json!([["X Y", "a"]])), "reject"),
        (headers(json!([["a", "b\r\nc"]])), "reject"),
        (headers(json!(many)), "reject"),
        (headers(json!([["a", "b".repeat(65_536)]])), "reject"),
    ] {
        let answer: Value = serde_json::from_str(&written(&case.to_string()).unwrap()).unwrap();
        assert_eq!(answer["kind"], kind, "{case}");
        assert_eq!(answer["ip"].is_string(), kind == "ip", "{case}");
        assert_eq!(answer["local"], false, "{case}");
    }
}

#[test]
fn a_page_of_our_own_is_local_by_either_scheme() {
    for origin in ["http://localhost:18789", "https://localhost:18789"] {
        let case = json!({"peer": "::1", "listener": {"local_listener": true},
            "headers": [["Host", "localhost:18789"], ["Origin", origin]]});
        let answer: Value = serde_json::from_str(&written(&case.to_string()).unwrap()).unwrap();
        assert_eq!((&answer["local"], &answer["class"]), (&json!(true), &json!("local")), "{origin}");
    }
}

#[test]
fn a_case_may_name_the_machines_gateways() {
    let case = json!({"peer": "172.18.0.1", "gateways": ["172.18.0.1"]});
    assert!(written(&case.to_string()).unwrap().contains("\"class\":\"nat\""));
}

#[test]
fn a_bad_line_is_named_by_its_number() {
    let good = json!({"peer": "192.0.2.1"});
    for (input, expected) in [
        (format!("{good}\n\n{{\"peer\": \n{good}"), 3),
        (format!("{good}\nnonsense"), 2),
        ("{\"peer\": 7}".to_owned(), 1),
        ("{}".to_owned(), 1),
        ("[]".to_owned(), 1),
        ("{\n\"vectors\": [\n{\"peer\": 7}\n]}".to_owned(), 3),
        ("{\n\"vectors\": [\n".to_owned(), 3),
        ("{\"vectors\": []}\n{}".to_owned(), 2),
    ] {
        match written(&input) {
            Err(BatchError::Case { line, .. }) => assert_eq!(line, expected, "{input}"),
            other => panic!("{input}: {other:?}"),
        }
    }
    let mut out = Vec::new();
    run(&format!("{good}\nnonsense"), &mut out).unwrap_err();
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1, "the answer before the bad line stands");
}

#[test]
fn more_than_the_bound_is_not_read() {
    assert!(matches!(written(&"x".repeat(BATCH_BYTES_MAX)), Err(BatchError::Case { line: 1, .. })));
    assert!(matches!(written(&"x".repeat(BATCH_BYTES_MAX + 1)), Err(BatchError::TooLong)));
}

#[test]
fn an_output_that_is_gone_is_an_error() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert!(matches!(run("{\"peer\": \"192.0.2.1\"}", &mut Gone), Err(BatchError::Write(_))));
}

fn written(input: &str) -> Result<String, BatchError> {
    let mut out = Vec::new();
    run(input, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}
