use bq_views::HealthView;

use super::{Answer, json};
use crate::{RpcServices, args::Args};

pub(super) fn get_conditions(services: &RpcServices, _: &mut Args) -> Answer {
    json(HealthView::new(&services.conditions.read()))
}
