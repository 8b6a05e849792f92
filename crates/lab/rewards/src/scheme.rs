use bq_ledger::WindowUnits;

/// How the simulated pool pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A window with half the block's own share at its head (SPEC 8.2).
    Pplns(WindowUnits),
    /// A window that ends before the block's own share, paid by its coinbase (SPEC 8.8).
    Direct(WindowUnits),
    /// A window in hashes (SPEC 8.9).
    Tides(WindowUnits),
    /// Each share for itself (SPEC 8.9).
    Pps,
    /// The shares since the last block, by weight: what no pool should do. The control that shows that a gain would be found.
    Prop,
    /// A window that gives nothing to the seed: whoever is there splits it all. A control, too.
    Unseeded(WindowUnits),
}

impl Scheme {
    /// Its name in a table.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Pplns(units) => format!("PPLNS {}", units.units()),
            Self::Direct(units) => format!("direct {}", units.units()),
            Self::Tides(units) => format!("TIDES {}", units.units()),
            Self::Pps => "PPS".to_owned(),
            Self::Prop => "PROP".to_owned(),
            Self::Unseeded(units) => format!("PPLNS {} without seed", units.units()),
        }
    }
}
