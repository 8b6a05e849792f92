/// The levels of a tree that is paired from the left, an odd one out going up unchanged (SPEC 8.6.5): of `count` leaves, on which
/// side of the leaf at `index` its neighbour stands, from the bottom. Nothing where there is none.
pub(crate) fn sides(index: usize, count: usize) -> impl Iterator<Item = Option<Side>> {
    let mut place = (index, count);
    std::iter::from_fn(move || {
        let (index, count) = place;
        if count <= 1 {
            return None;
        }
        place = (index >> 1, count.div_ceil(2));
        let is_last = index.saturating_add(1) >= count;
        Some(match (index & 1, is_last) {
            (1, _) => Some(Side::Left),
            (_, false) => Some(Side::Right),
            (_, true) => None,
        })
    })
}

/// Where a neighbour stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// How many hashes the path of this leaf has.
pub(crate) fn path_len(index: usize, count: usize) -> usize {
    sides(index, count).flatten().count()
}
