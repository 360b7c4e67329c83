//! Meters that push: DLMS notifications on a port of ours or on a serial line, and P1 telegrams.
//!
//! | module | what it does |
//! |---|---|
//! | [`receive`] | keeps a port open, and takes whole pushes off it |
//! | [`seats`] | who has a place on a port, and who gives way when places run out. Pure |
//! | [`judge`] | whose push it is, whether it may be believed, and whether its point is due. Pure |
//! | [`task`] | puts what is due into the journal |

pub mod judge;
pub mod receive;
pub mod seats;
pub mod task;

pub use task::PushTask;
