//! Watches any number of Tesla Powerwall systems and serves what they report over REST, WebSocket and MQTT.
//!
//! Start at [`app`] to see how the rooms are wired, at [`gateway`] for the life of one gateway, at
//! [`model`] for what a Powerwall is. `docs/architecture.md` describes the whole.
//!
//! A module uses modules on lower floors only:
//!
//! | floor | modules |
//! |---|---|
//! | 7 | `main.rs`, [`app`], [`cli`] |
//! | 6 | [`web`], [`live`], [`mqtt`], [`metrics`] |
//! | 5 | [`supervisor`], [`aggregator`], [`output`], [`frames`], [`pieces`], [`directory`], [`gateway`], [`supervise`], [`board`], [`audience`], [`connections`], [`slices`] |
//! | 4 | [`views`] |
//! | 3 | [`link`] |
//! | 2 | [`settings`], above [`tls`], [`store`], [`files`] |
//! | 1 | [`model`], [`clock`], [`pause`], [`client`] |
//! | aside | [`simulator`], used by `demo`, tests and benchmarks only |
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
pub mod directory;
pub mod files;
pub mod frames;
pub mod gateway;
pub mod link;
pub mod live;
pub mod metrics;
pub mod model;
pub mod mqtt;
pub mod output;
pub mod pause;
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
