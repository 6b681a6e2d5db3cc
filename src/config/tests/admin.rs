//! Where the numbers may be read.

use super::*;

pub(super) fn refusals() -> Vec<(String, Expected)> {
    let admin = |rest: &str| format!("{}[admin]\n{rest}", outside(""));
    vec![
        (admin("«metric_bind» = []"), |f| matches!(f, Fault::UnknownKey { closest: Some("metrics_bind"), .. })),
        (admin("metrics_bind = «9464»"), |f| matches!(f, Fault::WrongType { .. })),
        (admin("metrics_bind = «\"localhost:9464\"»"), |f| matches!(f, Fault::Bind(_))),
        (admin("metrics_bind = «\"127.0.0.1:0\"»"), |f| matches!(f, Fault::Bind(_))),
        (admin("metrics_bind = «\"0.0.0.0:9464\"»"), |f| matches!(f, Fault::MetricsExposed(_))),
        (admin("metrics_bind = «\"[::]:9464\"»"), |f| matches!(f, Fault::MetricsExposed(_))),
        (admin("metrics_bind = [\"127.0.0.1:1\", «\"203.0.113.7:9464\"»]"), |f| {
            matches!(f, Fault::MetricsExposed(_))
        }),
        (
            admin("metrics_bind = «\"10.0.0.1:1\"»"),
            |f| matches!(f, Fault::BindTaken { by, .. } if by.ends_with(" listener-1")),
        ),
        (admin("metrics_bind = [\"10.0.0.1:2\", «\"10.0.0.1:2\"»]"), |f| matches!(f, Fault::BindTaken { .. })),
        (admin("danger_public_metrics = «true»"), |f| matches!(f, Fault::Useless { .. })),
        (admin("metrics_bind = \"10.0.0.1:2\"\ndanger_public_metrics = «true»"), |f| {
            matches!(f, Fault::Useless { .. })
        }),
        (
            admin(&format!(
                "metrics_bind = [{}«\"127.0.0.1:9\"»]",
                (1..9).map(|n| format!("\"127.0.0.1:{n}\", ")).collect::<String>()
            )),
            |f| matches!(f, Fault::TooMany { .. }),
        ),
    ]
}

#[test]
fn the_numbers_are_read_nowhere_unless_it_says_so_and_in_public_only_with_a_warning() {
    assert!(parse("").unwrap().metrics.bind.is_empty());
    let near = parse("[admin]\nmetrics_bind = [\"127.0.0.1:9464\", \"[fd7a:115c:a1e0::7]:9464\"]").unwrap();
    assert_eq!((near.metrics.bind.len(), near.warnings.len()), (2, 0), "{:?}", near.warnings);
    let wide = parse("[admin]\nmetrics_bind = \"0.0.0.0:9464\"\ndanger_public_metrics = true").unwrap();
    assert_eq!(wide.metrics.bind, ["0.0.0.0:9464".parse().unwrap()]);
    assert!(wide.warnings.iter().any(|warning| warning.contains("danger_public_metrics")), "{:?}", wide.warnings);
}
