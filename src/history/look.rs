//! What is taken from all that a gateway answered, now and then: its counters and signals.

use crate::model::energy::{Flow, Flows};
use crate::model::site::recorded::PartSignal;
use crate::model::{BlockSignals, Counter, Meter, Meters, Site};

/// What a look at a site brings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Look {
    /// Wh over the life of the meters.
    pub counters: Flows<Option<f64>>,
    /// Key of the block, id of the signal, value.
    pub signals: Vec<(String, &'static str, f64)>,
    /// The same of what changes slowly.
    pub slow: Vec<(String, &'static str, f64)>,
}

impl Look {
    pub fn at(site: &Site) -> Self {
        let of_block = |block: &BlockSignals| {
            let known = block.known().map(|(signal, value)| (block.key.clone(), signal.id, value));
            known.collect::<Vec<_>>()
        };
        let mut signals: Vec<_> = site.blocks.iter().flat_map(of_block).collect();
        let (slow, quick): (Vec<_>, Vec<_>) =
            site.parts().into_iter().partition(|(_, signal, _)| signal.is_slow);
        let plain = |parts: Vec<(String, &'static PartSignal, f64)>| {
            parts.into_iter().map(|(key, signal, value)| (key, signal.id, value)).collect::<Vec<_>>()
        };
        signals.extend(plain(quick));
        Self { counters: site.meters.as_ref().map(counters).unwrap_or_default(), signals, slow: plain(slow) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::site::signals::SIGNALS;
    use crate::model::{CounterSource, Number};

    /// Contract 0.3, `/api/meters/aggregates`: a meter exports what it gives, so solar and battery export
    /// what they produce and give, the site imports from the grid, and the load imports what it takes.
    #[test]
    fn each_flow_has_the_counter_of_its_direction() {
        let counted = |energy: i64| CounterSource::SiteMeter.counted(Some(Number::Int(energy)));
        let meter = |imported, exported| Meter { imported, exported, ..Meter::default() };
        let meters = Meters {
            solar: meter(counted(1), counted(100)),
            load: meter(counted(200), counted(2)),
            battery: meter(counted(300), counted(400)),
            site: meter(counted(500), None),
            generator: None,
        };
        let mut values = [None; SIGNALS.len()];
        values[0] = Some(38.5);
        let blocks = vec![BlockSignals { key: "TEPOD--1--2".into(), values }];
        let look = Look::at(&Site { meters: Some(meters), blocks, ..Site::default() });
        let energies = [Some(100.0), Some(200.0), Some(300.0), Some(400.0), Some(500.0), None];
        assert_eq!(look.counters, Flows(energies));
        assert_eq!(look.signals, [("TEPOD--1--2".to_owned(), "pack_temp_max", 38.5)]);
        assert_eq!(Look::at(&Site::default()), Look::default());
    }
}
