//! What moves, what does not, and why, for people and for programs. Names and platforms are strangers' words; they are
//! escaped already.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::import::mistakes::Mistake;
use crate::import::{Arrival, Devices, Whence};
use crate::pairing::device::DeviceId;
use crate::pairing::import::{Fate, Mode};

/// Everything that was found, and what becomes of it.
pub(super) struct Plan<'a> {
    pub(super) devices: &'a Devices,
    pub(super) held: &'a [DeviceId],
    pub(super) fates: &'a [(DeviceId, Fate)],
    pub(super) mode: Mode,
    pub(super) token: Token,
    pub(super) mistakes: &'a [Mistake],
    pub(super) suggestion: Option<&'a str>,
    pub(super) out: Option<&'a Path>,
}

/// Whether the other gateway's token becomes doorward's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token {
    Left,
    Taken,
}

/// What becomes of one device, as it is told.
#[derive(Clone, Copy)]
enum Outcome {
    Fated(Fate),
    Unapproved,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Fated(Fate::Moves) => "moves",
            Self::Fated(Fate::Stays) => "stays",
            Self::Fated(Fate::StaysOut) => "removed-here",
            Self::Fated(Fate::StaysOutUnsure) => "perhaps-removed-here",
            Self::Unapproved => "unapproved",
        }
    }

    fn reason(self) -> Option<&'static str> {
        match self {
            Self::Fated(Fate::Moves) => None,
            Self::Fated(Fate::Stays) => Some("it is known here and keeps what it has here"),
            Self::Fated(Fate::StaysOut) => Some("it was removed here; to take it in again all the same: --again ID"),
            Self::Fated(Fate::StaysOutUnsure) => {
                Some("whether it was removed here nobody can say any more; to take it in: --again ID")
            }
            Self::Unapproved => Some(
                "the gateway let it in from elsewhere by itself, nobody approved it; to take such in: --with-unapproved",
            ),
        }
    }
}

impl Plan<'_> {
    fn outcomes(&self) -> Vec<(&Arrival, Outcome)> {
        let outcome = |arrival: &Arrival| {
            let id = arrival.device.id();
            let fate = self.fates.iter().find(|(device, _)| *device == id).map(|(_, fate)| Outcome::Fated(*fate));
            // Never neither: whoever is not held was asked about.
            if self.held.contains(&id) { Outcome::Unapproved } else { fate.unwrap_or(Outcome::Unapproved) }
        };
        self.devices.arrivals.iter().map(|arrival| (arrival, outcome(arrival))).collect()
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let devices = self.outcomes().into_iter().map(|(arrival, outcome)| {
            let grants = arrival.device.grants.iter().map(|grant| {
                json!({ "role": grant.role, "scopes": grant.scopes, "token": grant.token.is_some() })
            });
            let losses = arrival.losses.iter().map(|loss| json!({ "role": loss.role, "reason": loss.why.to_string() }));
            json!({ "deviceId": arrival.device.id(), "profile": arrival.device.profile, "label": arrival.device.label,
                    "grants": grants.collect::<Vec<_>>(), "lost": losses.collect::<Vec<_>>(), "approvedVia": arrival.via,
                    "remoteIp": arrival.from.address(), "outcome": outcome.word(), "reason": outcome.reason() })
        });
        let mistakes = self.mistakes.iter().map(|mistake| {
            json!({ "key": mistake.key, "found": mistake.found, "why": mistake.why, "instead": mistake.instead })
        });
        let unfit = self.devices.unfit.iter().map(|unfit| json!({ "id": unfit.id, "reason": unfit.reason }));
        json!({ "done": self.mode == Mode::Done, "release": self.devices.release.as_str(),
                "devices": devices.collect::<Vec<_>>(), "leftOut": unfit.collect::<Vec<_>>(), "waiting": self.devices.waiting, "warning": self.untold(),
                "token": self.token == Token::Taken, "mistakes": mistakes.collect::<Vec<_>>(), "configuration": self.suggestion,
                "configurationFile": self.out })
    }

    /// What there is to say where that gateway did not write down how it let its devices in.
    fn untold(&self) -> Option<&'static str> {
        self.devices.arrivals.iter().any(Arrival::is_untold).then_some(
            "warning: how a device got in is not written down there, perhaps nobody approved it: look at each, and see \
             `doorward devices remove`",
        )
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let (mut moving, mut staying) = (String::new(), String::new());
        let (mut moves, mut stays) = (0_usize, 0_usize);
        for (arrival, outcome) in self.outcomes() {
            let (text, count) = match outcome {
                Outcome::Fated(Fate::Moves) => (&mut moving, &mut moves),
                _ => (&mut staying, &mut stays),
            };
            *count += 1;
            device(text, arrival);
            if let Some(reason) = outcome.reason() {
                line(text, "because", reason);
            }
        }
        for unfit in &self.devices.unfit {
            stays += 1;
            let _ = writeln!(staying, "\n  {}", unfit.id);
            line(&mut staying, "because", &unfit.reason);
        }
        let release = self.devices.release.as_str();
        let word = if self.mode == Mode::Done { "Imported" } else { "Would be imported" };
        let mut text = format!("{word} from OpenClaw {release} ({moves})\n{moving}\nNot imported ({stays})\n{staying}");
        if self.devices.waiting > 0 {
            let waiting = self.devices.waiting;
            let _ = writeln!(text, "\nDevices that wait there for approval: {waiting}. They ask again here.");
        }
        if let Some(warning) = self.untold() {
            let _ = writeln!(text, "\n{warning}");
        }
        self.tell_token(&mut text);
        self.tell_settings(&mut text);
        text
    }

    fn tell_token(&self, text: &mut String) {
        text.push_str(match (self.token, self.mode) {
            (Token::Taken, Mode::Done) => "\nThe gateway token is that gateway's now.\n",
            (Token::Taken, Mode::Planned) => "\nThe gateway token would be that gateway's.\n",
            (Token::Left, _) => {
                "\nThe gateway token is doorward's own (doorward token show): whoever signed in with that gateway's needs this one, \
                 unless --with-token takes it over.\n"
            }
        });
    }

    fn tell_settings(&self, text: &mut String) {
        let Some(suggestion) = self.suggestion else {
            text.push_str("\nNo openclaw.json is there: nothing is known of its settings (--openclaw-json).\n");
            return;
        };
        let _ = writeln!(text, "\nTrust mistakes in its settings ({})", self.mistakes.len());
        for mistake in self.mistakes {
            let _ = writeln!(text, "\n  {} = {}", mistake.key, mistake.found);
            line(text, "wrong", mistake.why);
            line(text, "doorward", mistake.instead);
        }
        match (self.out, self.mode) {
            (Some(path), Mode::Done) => {
                let _ = writeln!(text, "\nA configuration is in {}", path.display());
            }
            _ => {
                let _ = writeln!(text, "\nA doorward.toml for it (--config-out FILE writes it):\n\n{suggestion}");
            }
        }
    }
}

fn device(text: &mut String, arrival: &Arrival) {
    let (device, profile) = (&arrival.device, &arrival.device.profile);
    let _ = writeln!(text, "\n  {}", device.id());
    if let Some(label) = &device.label {
        line(text, "name", label);
    }
    let names = [profile.display_name.as_deref(), Some(profile.platform.as_str()), Some(profile.client_id.as_str())];
    line(text, "device", &names.into_iter().flatten().collect::<Vec<_>>().join(" · "));
    for grant in &device.grants {
        let scopes: Vec<_> = grant.scopes.iter().map(|scope| scope.as_str()).collect();
        let token = if grant.token.is_some() { ", with its token" } else { "" };
        line(text, "may", &format!("{}: {}{token}", grant.role, scopes.join(", ")));
    }
    for loss in &arrival.losses {
        line(text, "but", &format!("{}: {}", loss.role, loss.why));
    }
    let via = arrival.via.as_deref().unwrap_or("not written down");
    let from = match arrival.from {
        Whence::Address(from) => format!(", last from {from}"),
        Whence::Unreadable => ", last from what is no address".to_owned(),
        Whence::Unwritten => String::new(),
    };
    line(text, "approved", &format!("{via}{from}"));
}

fn line(text: &mut String, label: &str, value: &str) {
    let _ = writeln!(text, "    {label:<11}{value}");
}
