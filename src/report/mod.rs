//! What people and machines are shown. Each report is made from events, run records or proofs, never from live state.

mod detection;
pub mod junit;
pub mod proof;
pub mod terminal;
mod text;
