//! `#[derive(Packet)]` for `phantom-core`.
