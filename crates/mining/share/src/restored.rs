/// What became of the lines that one process kept for the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// How many could not be read.
    pub unread: usize,
    /// Which was the first of them; the first line of all is 1.
    pub first_unread: Option<usize>,
    /// How many could be read and are more than is kept.
    pub dropped: usize,
}

impl Restored {
    /// The line with this index, from 0, cannot be read.
    pub fn note_unread(&mut self, index: usize) {
        self.unread = self.unread.saturating_add(1);
        self.first_unread.get_or_insert(index.saturating_add(1));
    }
}
