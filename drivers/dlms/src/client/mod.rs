//! The client: an association over a link, and what is asked in it.
