use std::{
    fmt,
    fs::{self, File},
    io::{self, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    cmsg_space,
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        recvmsg, sendmsg, sockopt,
    },
    process::{Pid, Signal, kill_process},
};
use tokio::net::UnixListener;

/// Where a process that runs on a data directory hears of the one that will replace it: a socket in that directory.
#[derive(Debug)]
pub struct SuccessorPort {
    listener: UnixListener,
    path: PathBuf,
}

/// The line between a process and its successor. It carries frames of bytes, each with a file if there is one to be given away. Closed, it tells
/// that its other end is gone.
#[derive(Debug)]
pub struct SuccessorLink {
    stream: UnixStream,
    other: Option<OtherProcess>,
    patience: Duration,
}

/// A frame may not be larger: a block's body fits many times.
const FRAME_BYTES_MAX: usize = 512 << 20;
/// The other end is taken for dead after that much time in which it reads nothing: miners wait meanwhile.
const READING_PATIENCE: Duration = Duration::from_secs(2);

/// The process at the other end of a link, as this one sees it. The number is its own for as long as the link is open.
#[derive(Clone, Copy, Debug)]
pub struct OtherProcess(Pid);

impl OtherProcess {
    /// Ends it, whatever it does, and also while it is stopped.
    ///
    /// # Errors
    /// The system says no: most likely it has ended.
    pub fn kill(self) -> io::Result<()> {
        Ok(kill_process(self.0, Signal::KILL)?)
    }

    /// Asks it to stop.
    ///
    /// # Errors
    /// As [`OtherProcess::kill`].
    pub fn terminate(self) -> io::Result<()> {
        Ok(kill_process(self.0, Signal::TERM)?)
    }
}

impl fmt::Display for OtherProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0.as_raw_nonzero())
    }
}

const HEAD_BYTES: usize = 5;
const WITH_FILE: u8 = 1;

impl SuccessorPort {
    /// Listens in a data directory that this process has locked.
    ///
    /// # Errors
    /// The system says no.
    pub fn listen(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(NAME);
        // Left by a process that was killed: the lock says that none is there.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let folder = File::open(data_dir)?;
        Ok(Self { listener: UnixListener::bind(short_path(&folder))?, path })
    }

    /// The next process that asks, with which this one has so much patience. One of another user is not listened to.
    ///
    /// # Errors
    /// The system says no.
    pub async fn next(&self, patience: Duration) -> io::Result<SuccessorLink> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let user = stream.peer_cred()?.uid();
            let own = rustix::process::geteuid();
            if user == own.as_raw() || user == 0 {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                return SuccessorLink::new(stream, patience);
            }
            tracing::warn!(user, "another user wanted to take over");
        }
    }
}

impl Drop for SuccessorPort {
    fn drop(&mut self) {
        // Whoever comes next removes it too.
        let _gone = fs::remove_file(&self.path);
    }
}

impl SuccessorLink {
    /// To the process that runs on a data directory; nothing if there is none. One that has to say something and is silent for longer than
    /// `patience` is given up.
    ///
    /// # Errors
    /// The system says no.
    pub fn to_predecessor(data_dir: &Path, patience: Duration) -> io::Result<Option<Self>> {
        let folder = match File::open(data_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            folder => folder?,
        };
        match UnixStream::connect(short_path(&folder)) {
            Ok(stream) => Self::new(stream, patience).map(Some),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn new(stream: UnixStream, patience: Duration) -> io::Result<Self> {
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(READING_PATIENCE))?;
        // Zero for one of another namespace, which this process cannot see.
        let other = sockopt::socket_peercred(&stream).ok().map(|other| other.pid);
        let other = other.filter(|other| other.as_raw_nonzero().get() > 0).map(OtherProcess);
        Ok(Self { stream, other, patience })
    }

    /// The process at the other end, for as long as the link is open; nothing where this process cannot see it.
    #[must_use]
    pub const fn other(&self) -> Option<OtherProcess> {
        self.other
    }

    /// How the other process is called in messages.
    #[must_use]
    pub fn other_name(&self) -> String {
        self.other.map_or_else(|| "a process outside of this container".to_owned(), |other| other.to_string())
    }

    /// Whether the other end has said something, or is gone; waits for that for so long. Blocks.
    ///
    /// # Errors
    /// The system says no.
    pub fn is_ready(&self, within: Duration) -> io::Result<bool> {
        let within = Timespec::try_from(within).map_err(io::Error::other)?;
        let mut watched = [PollFd::new(&self.stream, PollFlags::IN)];
        match poll(&mut watched, Some(&within)) {
            Err(rustix::io::Errno::INTR) => Ok(false),
            count => Ok(count? > 0),
        }
    }

    /// Sends a frame, and a file with it if there is one. Blocks.
    ///
    /// # Errors
    /// The other end is gone, or does not read.
    pub fn send(&mut self, bytes: &[u8], file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "frame is too long");
        let [a, b, c, d] = u32::try_from(bytes.len()).map_err(too_long)?.to_be_bytes();
        let head = [if file.is_some() { WITH_FILE } else { 0 }, a, b, c, d];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files: Vec<_> = file.into_iter().collect();
        if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&files)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // A system call with a time limit is not begun again by itself after a signal.
        let sent = retry_on_intr(|| sendmsg(&self.stream, &[IoSlice::new(&head)], &mut control, SendFlags::NOSIGNAL))?;
        self.stream.write_all(head.get(sent..).unwrap_or_default())?;
        self.stream.write_all(bytes)
    }

    /// The next frame; nothing once the other end has closed, in the middle of a frame too. Blocks.
    ///
    /// # Errors
    /// The other end says nothing for too long, or what is no frame.
    pub fn receive(&mut self) -> io::Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
        match self.receive_frame() {
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                let (other, secs) = (self.other_name(), self.patience.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("{other} has said nothing for {secs} s")))
            }
            received => received.map(Some),
        }
    }

    fn receive_frame(&mut self) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        let mut head = [0; HEAD_BYTES];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut head)];
        let came = retry_on_intr(|| recvmsg(&self.stream, into, &mut control, RecvFlags::CMSG_CLOEXEC))?.bytes;
        if came == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.stream.read_exact(head.get_mut(came..).unwrap_or_default())?;
        let file = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        let [flags, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if flags == WITH_FILE && file.is_none() {
            let reason = "a file that was handed over did not arrive: this process may open too few (ulimit -n)";
            return Err(io::Error::other(reason));
        }
        if length > FRAME_BYTES_MAX || (flags == WITH_FILE) != file.is_some() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not what a process of this program says"));
        }
        let mut bytes = Vec::new();
        let count = (&mut self.stream).take(u64::try_from(length).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
        if count < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok((bytes, file)) }
    }
}

/// Whether an error says that the other end of a link is gone.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof)
}

const NAME: &str = "successor";

/// The path of the socket in a folder by way of its descriptor: the address of a socket has 107 bytes at most, and folders have longer names.
fn short_path(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::fd::AsFd as _,
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Both ends of a link of this process with itself.
    async fn pair(patience: Duration) -> (tempfile::TempDir, SuccessorLink, SuccessorLink) {
        let folder = tempfile::tempdir().unwrap();
        let port = SuccessorPort::listen(folder.path()).unwrap();
        let newer = SuccessorLink::to_predecessor(folder.path(), patience).unwrap().unwrap();
        (folder, port.next(patience).await.unwrap(), newer)
    }

    #[tokio::test]
    async fn what_was_said_before_the_end_is_heard_and_a_broken_frame_is_the_end() {
        let (_folder, mut older, mut newer) = pair(PATIENCE).await;
        assert!(!newer.is_ready(Duration::ZERO).unwrap());
        newer.send(b"nobody reads this", None).unwrap();
        older.send(b"why", None).unwrap();
        older.stream.write_all(&[0, 0, 0, 0, 9, 1]).unwrap();
        drop(older);
        assert!(newer.is_ready(Duration::ZERO).unwrap());
        assert!(is_gone(&newer.send(b"nor this", None).unwrap_err()));
        assert_eq!(newer.receive().unwrap().unwrap().0, b"why");
        assert!(newer.receive().unwrap().is_none() && newer.receive().unwrap().is_none());
    }

    #[tokio::test]
    async fn silence_is_told_in_words_with_who_is_silent() {
        let (_folder, older, mut newer) = pair(Duration::from_millis(20)).await;
        let name = format!("process {}", std::process::id());
        assert_eq!((older.other_name(), newer.other_name()), (name.clone(), name.clone()));
        let error = newer.receive().unwrap_err();
        assert!(error.to_string().starts_with(&name) && error.kind() == io::ErrorKind::TimedOut, "{error}");
    }

    #[tokio::test]
    async fn frames_and_files_arrive_in_order_and_the_end_is_told() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("n".repeat(200));
        assert!(SuccessorLink::to_predecessor(&folder, PATIENCE).unwrap().is_none(), "nor is there a folder");
        fs::create_dir(&folder).unwrap();
        assert!(SuccessorLink::to_predecessor(&folder, PATIENCE).unwrap().is_none(), "nobody runs here");
        fs::write(folder.join(NAME), "left behind").unwrap();
        let port = SuccessorPort::listen(&folder).unwrap();
        let path = folder.clone();
        let newer = std::thread::spawn(move || {
            let mut link = SuccessorLink::to_predecessor(&path, PATIENCE).unwrap().unwrap();
            link.send(b"hello", None).unwrap();
            let mut frames = Vec::new();
            while let Some((bytes, file)) = link.receive().unwrap() {
                let mut text = String::new();
                if let Some(file) = file {
                    UnixStream::from(file).read_to_string(&mut text).unwrap();
                }
                frames.push((bytes, text));
            }
            frames
        });
        let mut link = port.next(PATIENCE).await.unwrap();
        assert_eq!(link.receive().unwrap().unwrap().0, b"hello");
        let large = vec![7; 300_000];
        for (bytes, text) in [(&b"one"[..], "first"), (&large, "second"), (&b""[..], "third")] {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            ours.write_all(text.as_bytes()).unwrap();
            link.send(bytes, Some(theirs.as_fd())).unwrap();
        }
        link.send(b"last", None).unwrap();
        drop(link);
        let text = |text: &str| text.to_owned();
        let expected = [
            (b"one".to_vec(), text("first")),
            (large, text("second")),
            (Vec::new(), text("third")),
            (b"last".to_vec(), text("")),
        ];
        assert_eq!(newer.join().unwrap(), expected);
        drop(port);
        assert!(SuccessorLink::to_predecessor(&folder, PATIENCE).unwrap().is_none(), "nobody runs here any more");
    }
}
