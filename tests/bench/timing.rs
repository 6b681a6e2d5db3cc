//! What the time of an answer tells of a secret: Welch's t between guesses whose first character is right and guesses whose
//! first is wrong, for the gateway's secret and for a device token. Row 132 of the catalogue: below 4.5, either way.
//!
//! `cargo bench --bench timing`; a busy machine can show more once: what counts is whether it shows it again.
#![expect(clippy::expect_used, reason = "a bench that cannot go on says why and ends")]

use std::hint::black_box;
use std::time::Instant;

use doorward::base::secret::Fingerprint;
use doorward::base::secret::Secret;
use doorward::pairing::credential::Shared;
use doorward::protocol::connect::Auth;

/// Guesses of each kind.
const PROBES: usize = 20_000;
/// Timed together: one alone is shorter than what a clock can tell.
const AT_ONCE: usize = 16;
/// The slowest part of both, by which a scheduler speaks and no secret.
const TRIMMED: usize = 100;
const SECRET: &str = "k3yPq9vTz0aWx7LmN2bRc5dEk3yPq9vTz0aWx7LmN2b";

fn main() {
    println!("| what is guessed | first right, ns | first wrong, ns | Welch's t |\n|---|---|---|---|");
    let gateway = Fingerprint::of(SECRET.as_bytes());
    let auth = |guess: String| Auth { token: Some(Secret::new(guess)), ..Auth::default() };
    row("the gateway's secret", |guess| {
        let auth = auth(guess);
        let start = Instant::now();
        for _ in 0..AT_ONCE {
            black_box(Shared::judge(black_box(&auth), black_box(&gateway)));
        }
        start.elapsed().as_nanos()
    });
    row("a device token", |guess| {
        let start = Instant::now();
        for _ in 0..AT_ONCE {
            black_box(black_box(&gateway).is(black_box(&guess)));
        }
        start.elapsed().as_nanos()
    });
}

fn row(what: &str, time: impl Fn(String) -> u128) {
    let (mut right, mut wrong) = (Vec::with_capacity(PROBES), Vec::with_capacity(PROBES));
    let mut random = [0_u8; 33];
    for _ in 0..PROBES {
        getrandom::fill(&mut random).expect("random bytes");
        let text: String = random.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        let rest = text.get(1..).unwrap_or_default();
        // The longest start that still is no secret, against one that is wrong at once; which comes first is chance.
        let near = format!("{}!", SECRET.get(..SECRET.len() - 1).unwrap_or_default());
        let far = format!("!{}", rest.chars().cycle().take(SECRET.len() - 1).collect::<String>());
        if random.first().is_some_and(|byte| byte % 2 == 0) {
            right.push(time(near));
            wrong.push(time(far));
        } else {
            wrong.push(time(far));
            right.push(time(near));
        }
    }
    let (right, wrong) = (Sample::of(right), Sample::of(wrong));
    let t = (right.mean - wrong.mean) / (right.variance / right.count + wrong.variance / wrong.count).sqrt();
    let each = |sample: &Sample| sample.mean / AT_ONCE as f64;
    println!("| {what} | {:.1} | {:.1} | {t:+.2} |", each(&right), each(&wrong));
}

struct Sample {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Sample {
    fn of(mut times: Vec<u128>) -> Self {
        times.sort_unstable();
        times.truncate(times.len() - times.len() / TRIMMED);
        let count = times.len() as f64;
        let mean = times.iter().map(|time| *time as f64).sum::<f64>() / count;
        let variance = times.iter().map(|time| (*time as f64 - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self { count, mean, variance }
    }
}
