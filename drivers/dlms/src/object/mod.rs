//! COSEM interface classes (IEC 62056-6-2).
