//! The pages of the real program: restarted under them, behind a proxy, with simulated gateways in trouble.
