//! Orders to sites of an account, and whether what is said of them is true.

use std::sync::Arc;

use powerwall_server::directory::Directory;
use powerwall_server::gateway::messages::CarryOut;
use powerwall_server::model::{AppPercent, Order, Outcome, Reserve};

use super::tesla::Tesla;

/// Asks for a reserve, and follows what becomes of it.
pub fn give(tesla: &Arc<Tesla>, directory: &Directory, site: usize, percent: u8) {
    let Some(addr) = directory.entries()[site].addr() else { return };
    let order = Order::Reserve(Reserve::new(AppPercent(f64::from(percent))).unwrap());
    let tesla = tesla.clone();
    tokio::task::spawn_local(async move {
        let asked_by = percent.to_string();
        let carry_out = CarryOut { order, lease: None, confirmed: false, asked_by, mark: None };
        let Ok(receipt) = addr.send(carry_out).await else { return };
        let mut standing = receipt.standing;
        loop {
            let now = standing.borrow_and_update().clone();
            if let Some(outcome) = &now.outcome {
                judge(&tesla, site, percent, outcome);
            }
            // The program may have been killed.
            if standing.changed().await.is_err() {
                break;
            }
        }
    });
}

fn judge(tesla: &Tesla, site: usize, percent: u8, outcome: &Outcome) {
    let arrived = tesla.arrivals(site, percent);
    match outcome {
        Outcome::NotSent(note) if arrived.is_some() => {
            tesla.violated(format!("an order is called not sent and arrived: {note:?}"));
        }
        Outcome::Accepted(_) => tesla.count("order accepted"),
        Outcome::Stored(what) => match arrived {
            // A local link that takes orders itself sends nothing to Tesla.
            None if tesla.has_local_link(site) => tesla.count("stored over the local link"),
            None => tesla.violated(format!("an order is called stored and never arrived: {what}")),
            Some(false) if tesla.is_locally_well(site) => tesla.violated(format!(
                "an order is called stored, and the gateway, which can be asked, does not have it: {what}"
            )),
            Some(true) if tesla.has_local_link(site) => {
                tesla.count("stored, and seen by the gateway's own link");
            }
            Some(_) => tesla.count("stored at Tesla"),
        },
        Outcome::InEffect(_) => tesla.violated("nothing shows that an order is in effect".into()),
        Outcome::Refused(_) | Outcome::Unknown(_) | Outcome::NotSent(_) => {}
    }
}
