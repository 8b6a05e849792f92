//! Places in the order in which something happened at them last.

/// No place.
const NONE: u32 = u32::MAX;

/// What is before and after each place in the one list that it is in. Moving a place to the end of its list takes the same time however long the
/// list is.
#[derive(Debug, Default)]
pub(super) struct Links(Vec<Link>);

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
}

/// One list.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    oldest: u32,
    newest: u32,
    len: usize,
}

impl Default for List {
    fn default() -> Self {
        Self { oldest: NONE, newest: NONE, len: 0 }
    }
}

impl List {
    /// How many places are in it.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Where nothing has happened for longest.
    pub(super) fn oldest(&self) -> Option<usize> {
        if self.oldest == NONE { None } else { usize::try_from(self.oldest).ok() }
    }
}

impl Links {
    /// Puts a place that is in no list at the end of one.
    pub(super) fn push(&mut self, list: &mut List, place: usize) {
        if self.0.len() <= place {
            self.0.resize(place + 1, Link { before: NONE, after: NONE });
        }
        let number = u32::try_from(place).unwrap_or(NONE);
        self.0[place] = Link { before: list.newest, after: NONE };
        match index(list.newest) {
            Some(newest) => self.0[newest].after = number,
            None => list.oldest = number,
        }
        list.newest = number;
        list.len += 1;
    }

    /// Takes a place out of the list that it is in.
    pub(super) fn remove(&mut self, list: &mut List, place: usize) {
        let Link { before, after } = self.0[place];
        match index(before) {
            Some(before) => self.0[before].after = after,
            None => list.oldest = after,
        }
        match index(after) {
            Some(after) => self.0[after].before = before,
            None => list.newest = before,
        }
        list.len -= 1;
    }

    /// Something happened there.
    pub(super) fn touch(&mut self, list: &mut List, place: usize) {
        self.remove(list, place);
        self.push(list, place);
    }
}

fn index(place: u32) -> Option<usize> {
    if place == NONE { None } else { usize::try_from(place).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside a plain list of places.
    #[test]
    fn lists_keep_their_order() {
        let (mut links, mut lists) = (Links::default(), [List::default(); 2]);
        let mut model = [Vec::<usize>::new(), Vec::new()];
        let mut random = 12_345_u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (place, which) = (usize::try_from(random >> 60).expect("small"), usize::from(random >> 40 & 1 == 1));
            let held = model.iter().position(|list| list.contains(&place));
            match (held, random >> 41 & 1) {
                (None, _) => {
                    links.push(&mut lists[which], place);
                    model[which].push(place);
                }
                (Some(held), 0) => {
                    links.touch(&mut lists[held], place);
                    model[held].retain(|other| *other != place);
                    model[held].push(place);
                }
                (Some(held), _) => {
                    links.remove(&mut lists[held], place);
                    model[held].retain(|other| *other != place);
                }
            }
            for (list, model) in lists.iter().zip(&model) {
                assert_eq!((list.oldest(), list.len()), (model.first().copied(), model.len()));
            }
        }
    }
}
