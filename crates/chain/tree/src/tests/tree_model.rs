//! The tree against a list of blocks that is searched from end to end for every answer.

use bq_consensus::Branch;
use bq_primitives::{BlockId, Height};
use proptest::prelude::*;

use super::{child, genesis, id};
use crate::{BlockState, BlockTree, ChainChange, ChainSteps, ChangeError, HeaderRun, InsertError, Route};

#[derive(Clone, Debug)]
struct Block {
    parent: Option<usize>,
    work: u64,
    has_body: bool,
    is_invalid: bool,
}

/// Block `i` has id `id(i)`; the order of the list is the order of becoming known.
#[derive(Debug)]
struct Model {
    blocks: Vec<Block>,
    tip: usize,
}

impl Model {
    fn path(&self, block: usize) -> Vec<usize> {
        let mut path = vec![block];
        while let Some(parent) = self.blocks[*path.last().unwrap()].parent {
            path.push(parent);
        }
        path.reverse();
        path
    }

    fn best(&self, eligible: impl Fn(usize) -> bool) -> usize {
        let mut best = 0;
        for block in (0..self.blocks.len()).filter(|block| eligible(*block)) {
            if self.blocks[block].work > self.blocks[best].work {
                best = block;
            }
        }
        best
    }

    fn is_valid(&self, block: usize) -> bool {
        self.path(block).iter().all(|block| !self.blocks[*block].is_invalid)
    }

    fn best_header(&self) -> usize {
        self.best(|block| self.is_valid(block))
    }

    fn change(&self) -> Option<ChainChange> {
        let complete = |block: usize| self.path(block).iter().all(|block| self.blocks[*block].has_body);
        let best = self.best(|block| self.is_valid(block) && complete(block));
        if self.blocks[best].work <= self.blocks[self.tip].work {
            return None;
        }
        let (old, new) = (self.path(self.tip), self.path(best));
        let shared = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
        Some(ChainChange {
            disconnect: old[shared..].iter().rev().map(|block| number(*block)).collect(),
            connect: new[shared..].iter().map(|block| number(*block)).collect(),
        })
    }

    fn missing(&self) -> Vec<BlockId> {
        self.path(self.best_header()).into_iter().filter(|block| !self.blocks[*block].has_body).map(number).collect()
    }

    fn rivals(&self) -> Vec<Vec<BlockId>> {
        let best = self.path(self.best_header());
        let has_valid_child = |of: usize| {
            (0..self.blocks.len()).any(|block| self.blocks[block].parent == Some(of) && self.is_valid(block))
        };
        let tip_work = self.blocks[self.tip].work;
        let mut heads: Vec<_> = (0..self.blocks.len())
            .filter(|block| self.is_valid(*block) && self.blocks[*block].work > tip_work && !has_valid_child(*block))
            .filter(|block| !best.contains(block))
            .collect();
        heads.sort_by_key(|block| (std::cmp::Reverse(self.blocks[*block].work), *block));
        let missing = |head: usize| {
            let path = self.path(head);
            let shared = path.iter().take_while(|block| best.contains(block)).count();
            let is_complete = path[..shared].iter().all(|block| self.blocks[*block].has_body);
            let lacking = path[shared..].iter().filter(|block| !self.blocks[**block].has_body);
            let lacking: Vec<_> = lacking.map(|block| number(*block)).collect();
            (is_complete && !lacking.is_empty()).then_some(lacking)
        };
        heads.into_iter().filter_map(missing).collect()
    }

    fn route(&self, from: usize, blocks_max: usize) -> Route {
        let (best, path) = (self.path(self.tip), self.path(from));
        let best_header = self.best_header();
        if !best.contains(&from) && self.blocks[best_header].work > self.blocks[self.tip].work {
            let height = |block| height(self.path(block).len() - 1);
            return Route::HeadersAhead { tip: height(self.tip), best_header: height(best_header) };
        }
        let shared = best.iter().zip(&path).take_while(|(best, path)| best == path).count();
        let above = best.iter().enumerate().skip(shared).map(|(at, block)| (height(at), number(*block)));
        Route::Steps(ChainSteps {
            fork: number(best[shared - 1]),
            fork_height: height(shared - 1),
            connected: above.take(blocks_max).collect(),
            reaches_tip: best.len() - shared <= blocks_max,
        })
    }

    fn state(&self, block: usize) -> BlockState {
        if !self.is_valid(block) {
            BlockState::Invalid
        } else if self.path(self.tip).contains(&block) {
            BlockState::Connected
        } else if self.blocks[block].has_body {
            BlockState::BodyStored
        } else {
            BlockState::HeaderKnown
        }
    }
}

fn number(block: usize) -> BlockId {
    id(u32::try_from(block).unwrap())
}

fn height(blocks_below: usize) -> Height {
    Height(u32::try_from(blocks_below).unwrap())
}

#[derive(Clone, Debug)]
enum Step {
    Header { parent: prop::sample::Index, weight: u64 },
    Body(prop::sample::Index),
    Invalid(prop::sample::Index),
    Follow,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<prop::sample::Index>(), 1..4_u64).prop_map(|(parent, weight)| Step::Header { parent, weight }),
        6 => any::<prop::sample::Index>().prop_map(Step::Body),
        1 => any::<prop::sample::Index>().prop_map(Step::Invalid),
        3 => Just(Step::Follow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_tree_answers_like_an_exhaustive_search(steps in prop::collection::vec(step(), 1..60)) {
        let mut tree = BlockTree::new(genesis());
        let first = Block { parent: None, work: 0, has_body: true, is_invalid: false };
        let mut model = Model { blocks: vec![first], tip: 0 };
        for step in steps {
            let count = model.blocks.len();
            match step {
                Step::Header { parent, weight } => {
                    let parent = parent.index(count);
                    let entry = child(tree.entry(&number(parent)).unwrap(), u32::try_from(count).unwrap(), weight);
                    let inserted = tree.insert(entry);
                    if model.is_valid(parent) {
                        prop_assert_eq!(inserted, Ok(()));
                        let work = model.blocks[parent].work + weight;
                        model.blocks.push(Block { parent: Some(parent), work, has_body: false, is_invalid: false });
                    } else {
                        prop_assert_eq!(inserted, Err(InsertError::InvalidParent(number(parent))));
                    }
                }
                Step::Body(block) => {
                    let block = block.index(count);
                    tree.set_body_stored(&number(block));
                    model.blocks[block].has_body = true;
                }
                Step::Invalid(block) => {
                    let block = block.index(count);
                    let before: Vec<_> = (0..count).filter(|block| model.is_valid(*block)).collect();
                    let mut marked = tree.mark_invalid(&number(block));
                    if !model.path(model.tip).contains(&block) {
                        model.blocks[block].is_invalid = true;
                    }
                    marked.sort();
                    let expected: Vec<_> =
                        before.into_iter().filter(|block| !model.is_valid(*block)).map(number).collect();
                    prop_assert_eq!(marked, expected);
                }
                Step::Follow => {
                    if let Some(change) = tree.next_change() {
                        prop_assert_eq!(tree.apply(&change), Ok(()));
                        let tip = *change.connect.last().unwrap();
                        model.tip = (0..count).find(|block| number(*block) == tip).unwrap();
                    }
                }
            }
            prop_assert_eq!(tree.tip().id, number(model.tip));
            prop_assert_eq!(tree.best_header().id, number(model.best_header()));
            prop_assert_eq!(tree.next_change(), model.change());
            prop_assert_eq!(tree.missing_bodies(usize::MAX), model.missing());
            prop_assert_eq!(tree.rival_bodies(usize::MAX, usize::MAX), model.rivals());
        }
        for block in 0..model.blocks.len() {
            prop_assert_eq!(tree.state(&number(block)), Some(model.state(block)));
            let branch = tree.branch(&number(block)).unwrap();
            let path = model.path(block);
            prop_assert_eq!(branch.tip().id, number(block));
            for (height, ancestor) in (0_u32..).zip(&path) {
                prop_assert_eq!(branch.entry(Height(height)).unwrap().id, number(*ancestor));
            }
            prop_assert!(branch.entry(Height(u32::try_from(path.len()).unwrap())).is_none());
            for blocks_max in [0, 1, 3, usize::MAX] {
                prop_assert_eq!(tree.route(&number(block), blocks_max), model.route(block, blocks_max));
            }
        }
        let best: Vec<_> = model.path(model.tip).into_iter().skip(1).map(number).collect();
        prop_assert_eq!(tree.ids_after(&[id(u32::MAX)], usize::MAX), best);
        prop_assert_eq!(tree.locator().last().copied(), Some(number(0)));
        prop_assert_eq!(tree.locator().first().copied(), Some(number(model.best_header())));
    }
}

fn line(tree: &mut BlockTree, from: BlockId, numbers: std::ops::Range<u32>) {
    let mut parent = *tree.entry(&from).unwrap();
    for number in numbers {
        parent = child(&parent, number, 1);
        tree.insert(parent).unwrap();
        tree.set_body_stored(&parent.id);
    }
}

#[test]
fn equal_work_keeps_the_first_seen_and_more_work_wins() {
    let mut tree = BlockTree::new(genesis());
    line(&mut tree, id(0), 1..3);
    let change = tree.next_change().unwrap();
    assert_eq!(change.connect, [id(1), id(2)]);
    tree.apply(&change).unwrap();
    line(&mut tree, id(0), 11..13);
    assert_eq!(tree.next_change(), None);
    line(&mut tree, id(12), 13..14);
    let change = tree.next_change().unwrap();
    assert_eq!(change, ChainChange { disconnect: vec![id(2), id(1)], connect: vec![id(11), id(12), id(13)] });
}

#[test]
fn a_change_that_does_not_start_at_the_tip_is_refused_and_changes_nothing() {
    let mut tree = BlockTree::new(genesis());
    line(&mut tree, id(0), 1..4);
    let change = tree.next_change().unwrap();
    tree.apply(&change).unwrap();
    let connect = |ids: &[u32]| ChainChange { disconnect: vec![], connect: ids.iter().map(|n| id(*n)).collect() };
    assert_eq!(tree.apply(&connect(&[2])), Err(ChangeError::DoesNotConnect(id(2))));
    assert_eq!(tree.apply(&connect(&[9])), Err(ChangeError::DoesNotConnect(id(9))));
    let disconnect = ChainChange { disconnect: vec![id(2)], connect: vec![] };
    assert_eq!(tree.apply(&disconnect), Err(ChangeError::NotTheTip(id(2))));
    let genesis = ChainChange { disconnect: vec![id(3), id(2), id(1), id(0)], connect: vec![] };
    assert_eq!(tree.apply(&genesis), Err(ChangeError::NotTheTip(id(0))));
    assert_eq!(tree.tip().id, id(3));
}

#[test]
fn a_locator_is_dense_near_the_tip_and_short_for_any_height() {
    let mut tree = BlockTree::new(genesis());
    line(&mut tree, id(0), 1..5001);
    let locator = tree.locator();
    assert_eq!(locator[..11], (4990..=5000).rev().map(id).collect::<Vec<_>>()[..]);
    assert_eq!(locator.last(), Some(&id(0)));
    assert!(locator.len() < 25, "{}", locator.len());
    let change = tree.next_change().unwrap();
    tree.apply(&change).unwrap();
    assert_eq!(locator[11..14], [id(4988), id(4984), id(4976)]);
    assert_eq!(tree.ids_after(&locator[12..], 2), [id(4985), id(4986)]);
}

#[test]
fn a_header_run_looks_like_the_branch_it_makes() {
    let mut tree = BlockTree::new(genesis());
    line(&mut tree, id(0), 1..4);
    let mut run = HeaderRun::new(tree.branch(&id(2)).unwrap());
    assert_eq!(run.tip().id, id(2));
    let first = child(run.tip(), 21, 1);
    run.push(first);
    run.push(child(&first, 22, 1));
    assert_eq!(run.tip().id, id(22));
    let ids: Vec<_> = (0..6).map(|height| run.entry(Height(height)).map(|entry| entry.id)).collect();
    assert_eq!(ids, [Some(id(0)), Some(id(1)), Some(id(2)), Some(id(21)), Some(id(22)), None]);
}
