//! `doorward dashboard`: opens the browser signed in. The token travels in the fragment of the address, which no server
//! and no log sees, and by a private file that sends the browser on: an argument list is readable by every user.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use serde_json::{Value, json};

use crate::admin::request::Request;
use crate::base::limits::DASHBOARD_FILE_LIFE;
use crate::base::private_file;
use crate::base::secret::Secret;

use super::failure::Failure;
use super::instance::Instance;
use super::{Context, Form, print, print_json};

/// What opens an address in the browser of whoever is logged in.
const OPENERS: [&str; 2] = if cfg!(target_os = "macos") { ["open", "xdg-open"] } else { ["xdg-open", "open"] };
/// Beginning and end of the file's name; between them stands chance.
const FILE: (&str, &str) = ("dashboard-", ".html");

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Print the address, without the token, and open nothing.
    #[arg(long)]
    no_open: bool,
    /// Print the address with the token in it; only on a terminal.
    #[arg(long, conflicts_with = "no_open")]
    show_token: bool,
}

pub(super) fn dashboard(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let instance = Instance::find(context)?;
    let answer = instance.ask(&Request::Dashboard)?;
    let Some(url) = answer.get("url").and_then(Value::as_str) else {
        return Err(Failure::failed(
            "no listener can show the dashboard",
            "add a listener with `serve = \"all\"`, or remove all listeners for the local profile",
        ));
    };
    if context.form == Form::Json {
        return print_json(&json!({"url": url}));
    }
    if arguments.show_token {
        if !io::stdout().is_terminal() {
            return Err(Failure::failed(
                "the address with the token is shown on a terminal only",
                "`doorward token show` prints the token for scripts",
            ));
        }
        let signed_in = signed_in(url, &instance.token()?);
        return print(&format!("{}\n", signed_in.expose()));
    }
    if arguments.no_open {
        let open = format!("`{}` opens it signed in", instance.owner_command().with("dashboard"));
        return print(&format!("{url}\n{}", afterwards(&open, &instance)));
    }
    let page = OneTimePage::create(&instance.state_dir, &signed_in(url, &instance.token()?))?;
    if open(&page.path) {
        print(&format!("Opening {url} in your browser.\n"))?;
        std::thread::sleep(DASHBOARD_FILE_LIFE);
        return Ok(());
    }
    let link = format!(
        "on a terminal, `{}` prints the address that is signed in",
        instance.owner_command().with("dashboard --show-token")
    );
    print(&format!(
        "{url}\nNo browser could be opened here: open that address yourself.\n{}",
        afterwards(&link, &instance)
    ))
}

/// What a person does with the bare address, and the other way there is.
fn afterwards(other: &str, instance: &Instance) -> String {
    let token = instance.owner_command().with("token show");
    format!("A page there that asks for the gateway token takes what `{token}` prints; {other}.\n")
}

/// The address with the token in its fragment.
fn signed_in(url: &str, token: &Secret<String>) -> Secret<String> {
    let mut text = format!("{url}#token=");
    for byte in token.expose().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    Secret::new(text)
}

/// A file that only we can read and that sends the browser on. It goes when this is dropped.
struct OneTimePage {
    path: PathBuf,
}

impl OneTimePage {
    fn create(state_dir: &Path, url: &Secret<String>) -> Result<Self, Failure> {
        sweep(state_dir);
        let failed = |error: &dyn ToString, hint: String| Failure::failed(error.to_string(), hint);
        let chance = Secret::random().map_err(|error| failed(&error, "try again".into()))?;
        let path = state_dir.join(format!("{}{}{}", FILE.0, chance.expose(), FILE.1));
        private_file::create(&path, &page(url)).map_err(|error| failed(&error, error.hint()))?;
        Ok(Self { path })
    }
}

impl Drop for OneTimePage {
    fn drop(&mut self) {
        // One that stays is swept by the next call.
        let _ = fs::remove_file(&self.path);
    }
}

/// The page. Every byte of the address is one of a URL's own, none of HTML's.
fn page(url: &Secret<String>) -> Secret<String> {
    Secret::new(format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta http-equiv=\"refresh\" content=\"0;url={}\">\n<title>doorward</title>\n",
        url.expose()
    ))
}

/// Removes pages that a killed command left behind.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(FILE.0) && name.ends_with(FILE.1)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a browser was started on `page`.
fn open(page: &Path) -> bool {
    OPENERS.iter().any(|opener| {
        let mut command = Command::new(opener);
        command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_token_stands_in_the_fragment_escaped() {
        let signed = signed_in("http://127.0.0.1:18789/", &Secret::new("aZ0-_\"<>&%#".to_owned()));
        assert_eq!(signed.expose(), "http://127.0.0.1:18789/#token=aZ0-_%22%3C%3E%26%25%23");
    }

    #[test]
    fn the_page_is_private_and_goes_after_use() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("dashboard-old.html"), "left by a killed command").unwrap();
        let made = OneTimePage::create(folder.path(), &Secret::new("http://x/#token=t".into())).unwrap();
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files, std::slice::from_ref(&made.path));
        assert_eq!(fs::metadata(&made.path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&made.path).unwrap().contains("0;url=http://x/#token=t\""));
        let path = made.path.clone();
        drop(made);
        assert!(!path.exists());
    }
}
