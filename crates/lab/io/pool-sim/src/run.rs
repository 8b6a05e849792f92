use crate::{PoolPlan, world::World};

/// What happened in one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolStory {
    /// Sentences with the time of each, oldest first.
    pub lines: Vec<String>,
    /// Figures at the end: name and value.
    pub figures: Vec<(&'static str, u64)>,
}

/// Something that must hold did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, step {step}: {what}")]
pub struct Broken {
    /// Of the run.
    pub seed: u64,
    /// After which step; past the last one, the calm at the end.
    pub step: u32,
    /// What does not hold.
    pub what: String,
    /// What happened until then.
    pub story: PoolStory,
}

/// Runs a plan from one seed.
///
/// # Errors
/// [`Broken`]: a check failed.
pub fn run(plan: PoolPlan, seed: u64) -> Result<PoolStory, Box<Broken>> {
    let mut world = World::new(plan, seed).map_err(|what| broken(seed, 0, what, &PoolStory::default()))?;
    for step in 0..plan.steps {
        let outcome = world.step();
        outcome.map_err(|what| broken(seed, step, what, &world.story))?;
    }
    let outcome = world.calm_down().and_then(|()| world.check_end());
    outcome.map_err(|what| broken(seed, plan.steps, what, &world.story))?;
    Ok(world.into_story())
}

fn broken(seed: u64, step: u32, what: String, story: &PoolStory) -> Box<Broken> {
    Box::new(Broken { seed, step, what, story: story.clone() })
}
