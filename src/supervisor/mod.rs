//! Keeps one GatewayActor per configured gateway alive, and the directory where the faces find them.

pub mod directory;

pub use directory::{Directory, Entry};
