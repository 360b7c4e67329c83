//! Speed, as ratios against a peer or a bound in the same run.

pub mod cpu;
pub mod loads;
pub mod random;
pub mod slow_disk;
