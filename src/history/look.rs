//! What is taken from all that a gateway answered, now and then: its counters and signals.

use crate::model::energy::{Flow, Flows};
use crate::model::{BlockSignals, Counter, Meter, Meters, Site};

/// What a look at a site brings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Look {
    /// Wh over the life of the meters.
    pub counters: Flows<Option<f64>>,
    /// Key of the block, id of the signal, value.
    pub signals: Vec<(String, &'static str, f64)>,
}

impl Look {
    pub fn at(site: &Site) -> Self {
        let of_block = |block: &BlockSignals| {
            let known = block.known().map(|(signal, value)| (block.key.clone(), signal.id, value));
            known.collect::<Vec<_>>()
        };
        let signals = site.blocks.iter().flat_map(of_block).collect();
        Self { counters: site.meters.as_ref().map(counters).unwrap_or_default(), signals }
    }
}

fn counters(meters: &Meters) -> Flows<Option<f64>> {
    let energy = |counter: &Option<Counter>| counter.map(|counter| counter.energy.as_f64());
    let imported = |meter: &Meter| energy(&meter.imported);
    let exported = |meter: &Meter| energy(&meter.exported);
    let mut counters = Flows::default();
    counters[Flow::Solar] = exported(&meters.solar);
    counters[Flow::Home] = imported(&meters.load);
    counters[Flow::Charge] = imported(&meters.battery);
    counters[Flow::Discharge] = exported(&meters.battery);
    counters[Flow::Import] = imported(&meters.site);
    counters[Flow::Export] = exported(&meters.site);
    counters
}
