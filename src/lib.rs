//! Watches any number of Tesla Powerwall systems and serves what they report over REST, WebSocket and MQTT.
//!
//! Start at [`app`] to see how the rooms are wired, at [`gateway`] for the life of one gateway, at
//! [`model`] for what a Powerwall is. `docs/architecture.md` describes the whole.
//!
//! `docs/architecture.md` lists the rooms by floors; `tests/rooms.rs` holds the imports against that list.
#![forbid(unsafe_code)]
#![deny(rust_2018_idioms)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::missing_errors_doc)]

pub mod aggregator;
pub mod app;
pub mod audience;
pub mod board;
pub mod cli;
pub mod client;
pub mod clock;
pub mod connections;
pub mod control;
pub mod directory;
pub mod export;
pub mod files;
pub mod frames;
pub mod gateway;
pub mod history;
pub mod limiter;
pub mod link;
pub mod live;
pub mod metrics;
pub mod model;
pub mod mqtt;
pub mod notify;
pub mod observer;
pub mod output;
pub mod pause;
#[cfg(feature = "pictures")]
pub mod pictures;
pub mod pieces;
pub mod settings;
pub mod simulator;
pub mod slices;
pub mod store;
pub mod supervise;
pub mod supervisor;
pub mod tls;
pub mod views;
pub mod web;
