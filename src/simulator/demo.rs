//! The sites of `demo`, and the scenes that it can show.

use std::time::Duration;

use clap::ValueEnum;

use super::Fleet;
use super::faults::Fault;
use super::gateway::SiteOptions;
use super::scene::SiteKind;

/// What happens in a demo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DemoScene {
    /// A day in the life of four sites, of which one is reached through Tesla's cloud.
    #[default]
    Day,
    /// The grid has failed.
    Outage,
    /// One of the sites does not answer any more.
    Offline,
    /// The gateways report hardly anything.
    Unknown,
    /// Late in the evening.
    Night,
    /// More sites than fit beside each other.
    Many,
}

/// The site that is reached through Tesla's cloud.
pub const REMOTE: &str = "lake";
/// How many sites are many.
const MANY: u32 = 12;
/// How long a site that goes silent is heard before, so that there are last values.
const HEARD_FOR: Duration = Duration::from_secs(10);

/// How a demo is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demo {
    pub scene: DemoScene,
    /// Hour of the day at the start, 0…24.
    pub hour: f64,
    /// Simulated seconds in a second.
    pub speed: f64,
}

impl Demo {
    /// `hour` and `speed` as the scene has them, where they are `None`.
    pub fn new(scene: DemoScene, hour: Option<f64>, speed: Option<f64>) -> Self {
        // A scene other than a whole day is to stay for as long as somebody looks at it.
        let (usual_hour, usual_speed) = match scene {
            DemoScene::Day => (9.0, 60.0),
            DemoScene::Outage => (15.0 + 1.0 / 3.0, 1.0),
            DemoScene::Night => (23.0, 1.0),
            DemoScene::Offline | DemoScene::Unknown | DemoScene::Many => (11.0, 1.0),
        };
        Self { scene, hour: hour.unwrap_or(usual_hour), speed: speed.unwrap_or(usual_speed) }
    }

    /// The sites to start.
    pub fn sites(&self) -> Vec<SiteOptions> {
        const NAMES: [(&str, &str, SiteKind); 3] = [
            ("home", "Home", SiteKind::Powerwall3),
            ("cabin", "Cabin", SiteKind::Powerwall2),
            ("barn", "Barn", SiteKind::Inverter),
        ];
        let site = |(id, name, kind): (&str, &str, SiteKind), number| SiteOptions {
            number,
            speed: self.speed,
            hour: self.hour,
            is_tight_lipped: self.scene == DemoScene::Unknown,
            ..SiteOptions::new(id, name, kind)
        };
        let mut sites: Vec<_> = NAMES.into_iter().zip(1..).map(|(name, number)| site(name, number)).collect();
        if self.scene == DemoScene::Day {
            sites.push(site((REMOTE, "Lake", SiteKind::Powerwall3), 4));
        }
        if self.scene == DemoScene::Many {
            sites.extend((4..=MANY).map(|number| {
                let kind = NAMES[number as usize % NAMES.len()].2;
                site((&format!("site-{number}"), &format!("Site {number}"), kind), number)
            }));
        }
        sites
    }

    /// What happens in the course of the scene.
    pub async fn play(self, fleet: &Fleet) {
        if self.scene == DemoScene::Offline
            && let Some(cabin) = fleet.gateways().get(1)
        {
            tokio::time::sleep(HEARD_FOR).await;
            cabin.set(Fault::Hang);
        }
    }
}
