//! Speed, as ratios against a peer or a bound in the same run.

pub mod cpu;
pub mod dlms;
pub mod dlms_layers;
pub mod dlms_seeds;
pub mod loads;
pub mod random;
pub mod slow_disk;
pub mod tapped;
