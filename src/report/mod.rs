//! What people and machines are shown. Each report is made from events or run records, never from live state.

mod detection;
pub mod junit;
pub mod terminal;
mod text;
