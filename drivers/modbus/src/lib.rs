//! Modbus meters: register maps as profiles, exact values, and the questions that read them.
