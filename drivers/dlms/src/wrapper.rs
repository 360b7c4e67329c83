//! The wrapper over TCP and UDP (IEC 62056-47).
