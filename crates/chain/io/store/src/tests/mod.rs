mod damage;
mod full_disk;
mod model;
mod power_loss;
mod reopen;
