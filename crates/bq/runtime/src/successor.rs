use std::{
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

use rustix::process::{Pid, Signal, kill_process};
use rustix::{
    cmsg_space,
    io::retry_on_intr,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        recvmsg, sendmsg,
    },
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
    /// The process at the other end, where it is the newer one.
    newer: Option<Pid>,
}

/// A frame may not be larger: a block's body fits many times.
const FRAME_BYTES_MAX: usize = 512 << 20;
/// The other end is taken for dead after that much silence where it has something to say: the older one closes its books meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);
/// And after that much time in which it reads nothing: miners wait meanwhile.
const READING_PATIENCE: Duration = Duration::from_secs(2);
/// The process that wants to take over.
#[derive(Clone, Copy, Debug)]
pub struct NewerProcess(Pid);

impl NewerProcess {
    /// Ends it, whatever it does.
    ///
    /// # Errors
    /// The system says no: most likely it has ended.
    pub fn kill(self) -> io::Result<()> {
        Ok(kill_process(self.0, Signal::KILL)?)
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

    /// The next process that asks. One of another user is not listened to.
    ///
    /// # Errors
    /// The system says no.
    pub async fn next(&self) -> io::Result<SuccessorLink> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let newer = stream.peer_cred()?;
            let user = newer.uid();
            let own = rustix::process::geteuid();
            if user == own.as_raw() || user == 0 {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                return SuccessorLink::new(stream, newer.pid().and_then(Pid::from_raw));
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
    /// To the process that runs on a data directory; nothing if there is none.
    ///
    /// # Errors
    /// The system says no.
    pub fn to_predecessor(data_dir: &Path) -> io::Result<Option<Self>> {
        let folder = match File::open(data_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            folder => folder?,
        };
        match UnixStream::connect(short_path(&folder)) {
            Ok(stream) => Self::new(stream, None).map(Some),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn new(stream: UnixStream, newer: Option<Pid>) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(READING_PATIENCE))?;
        Ok(Self { stream, newer })
    }

    /// The newer process, for as long as the link is open.
    #[must_use]
    pub fn newer(&self) -> Option<NewerProcess> {
        self.newer.map(NewerProcess)
    }

    /// From now on the other end may be silent for as long as it lives.
    ///
    /// # Errors
    /// The system says no.
    pub fn wait_without_end(&self) -> io::Result<()> {
        self.stream.set_read_timeout(None)
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

    /// The next frame; nothing once the other end has closed. Blocks.
    ///
    /// # Errors
    /// The other end says nothing for a minute, or what is no frame.
    pub fn receive(&mut self) -> io::Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
        let mut head = [0; HEAD_BYTES];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut head)];
        let came = retry_on_intr(|| recvmsg(&self.stream, into, &mut control, RecvFlags::CMSG_CLOEXEC))?.bytes;
        if came == 0 {
            return Ok(None);
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
        if count < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Some((bytes, file))) }
    }
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

    #[tokio::test]
    async fn frames_and_files_arrive_in_order_and_the_end_is_told() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("n".repeat(200));
        assert!(SuccessorLink::to_predecessor(&folder).unwrap().is_none(), "nor is there a folder");
        fs::create_dir(&folder).unwrap();
        assert!(SuccessorLink::to_predecessor(&folder).unwrap().is_none(), "nobody runs here");
        fs::write(folder.join(NAME), "left behind").unwrap();
        let port = SuccessorPort::listen(&folder).unwrap();
        let path = folder.clone();
        let newer = std::thread::spawn(move || {
            let mut link = SuccessorLink::to_predecessor(&path).unwrap().unwrap();
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
        let mut link = port.next().await.unwrap();
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
        assert!(SuccessorLink::to_predecessor(&folder).unwrap().is_none(), "nobody runs here any more");
    }
}
