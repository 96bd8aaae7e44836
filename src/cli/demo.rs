//! `demo`: which scene of the simulated sites, at what time, and how fast.

use clap::Args;

use crate::simulator::{Demo, DemoScene};

#[derive(Args, Clone, Copy, Debug, Default, PartialEq)]
pub struct DemoArgs {
    /// Simulated seconds per second; 60 for a day, 1 for the other scenes.
    #[arg(long, value_parser = speed)]
    speed: Option<f64>,
    /// Time of day at the start, such as 15:20; else as the scene has it.
    #[arg(long, value_name = "HH:MM", value_parser = hour)]
    at: Option<f64>,
    /// What to show.
    #[arg(long, value_enum, default_value_t)]
    scene: DemoScene,
}

impl From<DemoArgs> for Demo {
    fn from(args: DemoArgs) -> Self {
        Self::new(args.scene, args.at, args.speed)
    }
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=3600.0).contains(&speed) { Ok(speed) } else { Err("not in 0.1..3600".into()) }
}

/// Hours since midnight, from `15:20`.
fn hour(text: &str) -> Result<f64, String> {
    let time = text.split_once(':').and_then(|(hour, minute)| {
        let (hour, minute) = (hour.parse::<u8>().ok()?, minute.parse::<u8>().ok()?);
        (hour < 24 && minute < 60).then(|| f64::from(hour) + f64::from(minute) / 60.0)
    });
    time.ok_or_else(|| "not a time of day, such as 15:20".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_has_hours_and_minutes() {
        assert_eq!(hour("15:30"), Ok(15.5));
        assert_eq!(hour("0:00"), Ok(0.0));
        for nonsense in ["15", "24:00", "12:60", "-1:00", "12:30:00", ""] {
            assert!(hour(nonsense).is_err(), "{nonsense}");
        }
    }
}
