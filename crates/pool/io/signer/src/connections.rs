use std::{io, net::Shutdown, os::unix::net::UnixStream};

use parking_lot::Mutex;

/// Who is connected. Where all places are taken a newer one makes room for itself: nobody who says nothing keeps a pool out.
#[derive(Debug)]
pub(crate) struct Connections {
    places: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    all: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    number: u64,
    /// When it asked a whole question last, in the same count; nothing if it never did.
    asked: Option<u64>,
    stream: UnixStream,
}

impl Connections {
    pub(crate) fn new(places: usize) -> Self {
        Self { places: places.max(1), open: Mutex::default() }
    }

    /// One more. First whoever never asked anything leaves for it, then who has asked nothing for longest.
    pub(crate) fn add(&self, stream: &UnixStream) -> io::Result<u64> {
        let stream = stream.try_clone()?;
        let mut open = self.open.lock();
        while open.all.len() >= self.places {
            let least = open.all.iter().enumerate().min_by_key(|(_, one)| (one.asked, one.number));
            let Some(at) = least.map(|(at, _)| at) else { break };
            // Its thread reads the end then.
            let _gone_already = open.all.swap_remove(at).stream.shutdown(Shutdown::Both);
        }
        let number = open.tick();
        open.all.push(Connection { number, asked: None, stream });
        Ok(number)
    }

    /// It asked a question, or has its answer.
    pub(crate) fn asked(&self, number: u64) {
        let mut open = self.open.lock();
        let now = open.tick();
        if let Some(one) = open.all.iter_mut().find(|one| one.number == number) {
            one.asked = Some(now);
        }
    }

    pub(crate) fn remove(&self, number: u64) {
        self.open.lock().all.retain(|one| one.number != number);
    }
}

impl Open {
    const fn tick(&mut self) -> u64 {
        let now = self.next;
        self.next = now.saturating_add(1);
        now
    }
}
