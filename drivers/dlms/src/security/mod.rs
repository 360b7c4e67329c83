//! Ciphering, authentication and signatures (IEC 62056-5-3 §5).
