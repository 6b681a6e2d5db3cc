//! The listening half of the admin socket.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::base::limits::ACCEPT_PAUSE;
use crate::base::limits::ADMIN_CONNECTIONS_MAX;
use crate::base::limits::ADMIN_LINE_BYTES_MAX;
use crate::base::limits::ADMIN_WAIT;

use crate::base::private_file::{self, Fault, Owners, PrivateFileError};

use super::request::{Reply, Request};

/// The bound socket. Its file goes when this is dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

/// Answers requests; [`Server::serve`] calls it for callers that may ask.
pub trait Answer: Send + Sync + 'static {
    /// Answers one request.
    fn answer(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

impl Server {
    /// Binds `path` with mode 0600. A socket that nobody listens on any more is replaced. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`SocketError`] names what is in the way.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |cause| SocketError::Bind { path: path.to_path_buf(), cause };
        if let Found::Stale = look(path)? {
            fs::remove_file(path).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        // Until here the process's umask keeps others out; the peer's uid is asked for each connection anyway.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { listener, path: path.to_path_buf() })
    }

    /// Where it is bound.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Accepts and answers until dropped.
    pub async fn serve<A: Answer>(&self, answer: Arc<A>) -> Infallible {
        let places = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
        loop {
            // Never: the semaphore is not closed. Were it, no caller would be let in.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return std::future::pending().await };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let answer = Arc::clone(&answer);
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, &*answer).await {
                            debug!(%error, "admin connection ended");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "admin socket does not accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Left behind, it is replaced at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// What lies where the socket belongs.
enum Found {
    Nothing,
    /// A socket that nobody listens on.
    Stale,
}

/// Says what [`Server::bind`] would refuse of `path`, and makes nothing.
///
/// # Errors
/// As [`Server::bind`].
pub fn judge(path: &Path) -> Result<(), SocketError> {
    look(path).map(drop)
}

fn look(path: &Path) -> Result<Found, SocketError> {
    let failed = |cause| SocketError::Bind { path: path.to_path_buf(), cause };
    // Longer than any socket's path can be, for one.
    SocketAddr::from_pathname(path).map_err(failed)?;
    check_folder(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(SocketError::InTheWay(path.to_path_buf())),
        Ok(_) if StdUnixStream::connect(path).is_ok() => Err(SocketError::Taken(path.to_path_buf())),
        Ok(_) => Ok(Found::Stale),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(failed(error)),
    }
}

/// Checks that nobody else can put a socket of theirs in the place of ours. A folder that cannot be looked at is left to `bind`.
fn check_folder(folder: &Path) -> Result<(), PrivateFileError> {
    let found = match private_file::follow(folder) {
        Err(error) if matches!(error.fault, Fault::Io(_)) => return Ok(()),
        found => found?,
    };
    let alone =
        private_file::check_owner(&found, Owners::UsOrRoot).and_then(|()| private_file::check_unwritable(&found));
    alone.map_err(|fault| PrivateFileError::new(folder, fault))
}

/// Whoever runs us, and root.
fn may_ask(peer_uid: u32, own_uid: u32) -> bool {
    peer_uid == own_uid || peer_uid == 0
}

async fn converse<A: Answer>(mut stream: UnixStream, answer: &A) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    if !may_ask(uid, rustix::process::geteuid().as_raw()) {
        warn!(uid, "admin socket refused a foreign user");
        return Ok(());
    }
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let limit = u64::try_from(ADMIN_LINE_BYTES_MAX).unwrap_or(u64::MAX);
        timeout(ADMIN_WAIT, (&mut lines).take(limit).read_until(b'\n', &mut line)).await??;
        if line.is_empty() {
            return Ok(());
        }
        if line.len() >= ADMIN_LINE_BYTES_MAX {
            // What follows would be read as a question of its own.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "question too long"));
        }
        let reply = match serde_json::from_slice(&line) {
            Ok(request) => timeout(ADMIN_WAIT, answer.answer(request))
                .await
                .unwrap_or_else(|_| Reply::failed("the instance did not answer in time", "see its log")),
            Err(error) => Reply::failed(
                format!("this instance does not know the request: {error}"),
                "use the doorward command of the same version as the running one",
            ),
        };
        let mut text = serde_json::to_vec(&reply)?;
        text.push(b'\n');
        timeout(ADMIN_WAIT, write.write_all(&text)).await??;
    }
}

/// Why the admin socket could not be bound.
#[derive(Debug, Error)]
pub enum SocketError {
    /// The system refused.
    #[error("the admin socket cannot be made ({cause}): {}", path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Others could put a socket of theirs in its place.
    #[error("the admin socket cannot be made in its folder: {0}")]
    Folder(#[from] PrivateFileError),
    /// Something that is no socket has its name.
    #[error("a file that is no socket is where the admin socket belongs: {}", .0.display())]
    InTheWay(PathBuf),
    /// Another process listens on it.
    #[error("another process listens on the admin socket: {}", .0.display())]
    Taken(PathBuf),
}

impl SocketError {
    /// What the operator can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Bind { .. } => {
                "see that this user may write there; a socket's path has at most 107 characters: name a \
                 shorter `state_dir`, or set $RUNTIME_DIRECTORY"
                    .to_owned()
            }
            Self::Folder(error) => format!("{}, or name another folder by $RUNTIME_DIRECTORY", error.hint()),
            Self::InTheWay(path) => format!("look what {} is, and move it away", path.display()),
            Self::Taken(_) => "give each instance its own $RUNTIME_DIRECTORY".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::client::{self, CallError};
    use crate::base::limits::ADMIN_ANSWER_BYTES_MAX;
    use serde_json::json;

    #[derive(Debug)]
    struct Echo;

    impl Answer for Echo {
        async fn answer(&self, request: Request) -> Reply {
            match request {
                Request::Status => Reply::Done(json!({"ok": true})),
                other => Reply::failed(format!("{other:?}"), "ask for status"),
            }
        }
    }

    async fn ask(path: PathBuf, request: Request) -> Result<serde_json::Value, CallError> {
        tokio::task::spawn_blocking(move || client::call(&[path], &request)).await.unwrap()
    }

    #[tokio::test]
    async fn a_question_is_answered_and_the_socket_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let server = Arc::new(Server::bind(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let serving = Arc::clone(&server);
        let task = tokio::spawn(async move { serving.serve(Arc::new(Echo)).await });
        assert_eq!(ask(path.clone(), Request::Status).await.unwrap(), json!({"ok": true}));
        let failed = ask(path.clone(), Request::Devices).await;
        assert!(matches!(failed, Err(CallError::Refused { hint, .. }) if hint == "ask for status"));
        assert!(matches!(Server::bind(&path), Err(SocketError::Taken(_))));
        assert!(judge(&path).unwrap_err().hint().contains("$RUNTIME_DIRECTORY"));
        task.abort();
        let _ = task.await;
        drop(server);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn bytes_that_are_no_request_get_an_answer_and_no_end_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let server = Server::bind(&path).unwrap();
        let task = tokio::spawn(async move { server.serve(Arc::new(Echo)).await });
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"\x00nonsense\n{\"command\":\"status\"}\n").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let replies: Vec<Reply> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(matches!(replies[..], [Reply::Failed { .. }, Reply::Done(_)]), "{text}");
        task.abort();
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        judge(&path).unwrap();
        assert!(path.exists(), "a judgement removes nothing");
        drop(Server::bind(&path).unwrap());
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Server::bind(&path), Err(SocketError::InTheWay(_))));
        assert!(judge(&path).unwrap_err().hint().contains("admin.sock is, and move it away"));
        let long = folder.path().join("x".repeat(108));
        assert!(judge(&long).unwrap_err().hint().contains("shorter `state_dir`"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_folder_in_which_others_could_swap_the_socket_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let fault = |folder: &Path| match judge(&folder.join("admin.sock")) {
            Err(SocketError::Folder(error)) => Some(error.fault),
            other => other.map(|()| None).unwrap(),
        };
        assert!(fault(&real).is_none());
        assert!(matches!(fault(&link), Some(Fault::Symlink)));
        // Sticky or not: whoever is first has the name.
        for mode in [0o1777, 0o777, 0o770] {
            fs::set_permissions(&real, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(fault(&real), Some(Fault::Mode { .. })), "{mode:o}");
        }
        assert!(fault(&folder.path().join("none")).is_none(), "bind says that it is not there");
    }

    #[test]
    fn only_ourselves_and_root_may_ask() {
        for (peer_uid, own_uid, may) in [(1000, 1000, true), (0, 1000, true), (1001, 1000, false), (65_534, 0, false)] {
            assert_eq!(may_ask(peer_uid, own_uid), may, "{peer_uid} asks {own_uid}");
        }
    }

    #[tokio::test]
    async fn a_question_beyond_the_bound_ends_the_connection() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let server = Server::bind(&path).unwrap();
        let task = tokio::spawn(async move { server.serve(Arc::new(Echo)).await });
        let asked = |bytes: usize| {
            let path = path.clone();
            async move {
                let mut question = br#"{"command":"status"}"#.to_vec();
                question.resize(bytes - 1, b' ');
                question.push(b'\n');
                let mut stream = UnixStream::connect(path).await.unwrap();
                // The other end may leave in the middle of it.
                let _ = stream.write_all(&question).await;
                let _ = stream.shutdown().await;
                let mut text = Vec::new();
                let _ = stream.read_to_end(&mut text).await;
                text
            }
        };
        assert_eq!(asked(ADMIN_LINE_BYTES_MAX - 1).await, b"{\"done\":{\"ok\":true}}\n");
        assert_eq!(asked(ADMIN_LINE_BYTES_MAX + 1).await, b"");
        task.abort();
    }

    #[tokio::test]
    async fn no_more_than_the_bound_are_answered_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let server = Server::bind(&path).unwrap();
        let task = tokio::spawn(async move { server.serve(Arc::new(Echo)).await });
        let mut idle = Vec::new();
        for _ in 0..ADMIN_CONNECTIONS_MAX {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            // Answered, so it has its place.
            stream.write_all(b"{\"command\":\"status\"}\n").await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), b'{');
            idle.push(stream);
        }
        let waiting = tokio::spawn(ask(path.clone(), Request::Status));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        idle.pop();
        assert_eq!(waiting.await.unwrap().unwrap(), json!({"ok": true}));
        task.abort();
    }

    #[tokio::test]
    async fn an_answer_beyond_the_bound_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let long = vec![b' '; ADMIN_ANSWER_BYTES_MAX];
            // It leaves when it has read enough.
            let _ = std::io::Write::write_all(&mut stream, &long);
            let _ = std::io::Write::write_all(&mut stream, b"{\"done\":1}\n");
        });
        assert!(matches!(ask(path, Request::Status).await, Err(CallError::Broken { .. })));
    }

    #[tokio::test]
    async fn nobody_at_home_is_told_apart_from_a_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        assert!(matches!(ask(path, Request::Status).await, Err(CallError::NotRunning { .. })));
    }
}
