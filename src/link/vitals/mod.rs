//! Reading the vitals and the system status, in which both protocols list the devices of a site: TEDAPI derives them,
//! the customer API has them.

pub mod join;
pub(super) mod lists;
pub(super) mod numbers;
