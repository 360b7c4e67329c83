//! The HDLC data link (IEC 62056-46, ISO/IEC 13239 frame type 3).
