//! The link as a session under exact scripts: every byte that it sends, and when.
