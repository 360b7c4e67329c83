//! A-XDR: the coding of COSEM values (IEC 61334-6, IEC 62056-6-2 §4.1.5).
