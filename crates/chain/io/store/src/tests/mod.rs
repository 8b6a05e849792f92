mod model;
mod power_loss;
mod reopen;
