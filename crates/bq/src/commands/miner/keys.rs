//! Single keys from the terminal.

use std::{future::pending, io::Read as _, thread};

use tokio::sync::mpsc;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Hashrate,
    Pause,
    Resume,
}

/// Keys as they are pressed. Dropping it gives the terminal back as it was.
pub(super) struct Keys {
    pressed: mpsc::Receiver<Key>,
    _terminal: terminal::Raw,
}

impl Keys {
    /// Nothing if standard input is no terminal, or belongs to another program now: asking it then would stop us.
    pub(super) fn of_terminal() -> Option<Self> {
        let terminal = terminal::Raw::enter()?;
        let (sender, pressed) = mpsc::channel(8);
        // Not joined: it waits for a key that may never come, and ends with the process.
        let reader = thread::Builder::new().name("keys".to_owned()).spawn(move || {
            for byte in std::io::stdin().lock().bytes().map_while(Result::ok) {
                if key_of(byte).is_some_and(|key| sender.blocking_send(key).is_err()) {
                    return;
                }
            }
        });
        reader.is_ok().then_some(Self { pressed, _terminal: terminal })
    }
}

/// The next key; never, where there are none.
pub(super) async fn next(keys: &mut Option<Keys>) -> Key {
    match keys {
        Some(keys) => match keys.pressed.recv().await {
            Some(key) => key,
            None => pending().await,
        },
        None => pending().await,
    }
}

const fn key_of(byte: u8) -> Option<Key> {
    match byte {
        b'h' | b'H' => Some(Key::Hashrate),
        b'p' | b'P' => Some(Key::Pause),
        b'r' | b'R' => Some(Key::Resume),
        _ => None,
    }
}

#[cfg(unix)]
mod terminal {
    use rustix::{
        process::getpgrp,
        termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr},
    };

    /// The terminal, giving single keys without showing them.
    pub(super) struct Raw {
        before: Termios,
    }

    impl Raw {
        pub(super) fn enter() -> Option<Self> {
            let stdin = std::io::stdin();
            // A background process that touches its terminal is stopped.
            if tcgetpgrp(&stdin).ok()? != getpgrp() {
                return None;
            }
            let before = tcgetattr(&stdin).ok()?;
            let mut raw = before.clone();
            raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
            Some(Self { before })
        }
    }

    impl Drop for Raw {
        fn drop(&mut self) {
            // If the terminal is gone there is nothing to restore.
            let _gone = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
        }
    }
}

#[cfg(not(unix))]
mod terminal {
    pub(super) struct Raw;

    impl Raw {
        pub(super) fn enter() -> Option<Self> {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_meanings() {
        assert_eq!(b"hPrx\n".map(key_of), [Some(Key::Hashrate), Some(Key::Pause), Some(Key::Resume), None, None]);
    }
}
