//! Speed, as ratios against a peer or a bound in the same run.
