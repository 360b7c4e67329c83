//! The keys that a configuration may have.

use plomb_settings::Known;

const VALUE: Known = Known::Value;
pub(super) const KNOWN: &[(&str, Known)] = &[
    (
        "gateway",
        Known::Table(&[
            ("id", VALUE),
            ("state_dir", VALUE),
            ("key", VALUE),
            ("certificate", VALUE),
            ("credential", VALUE),
            ("meter_keys", VALUE),
            ("profiles", VALUE),
        ]),
    ),
    ("hub", Known::Table(&[("address", VALUE), ("ca", VALUE), ("window_batches", VALUE), ("drain_per_s", VALUE)])),
    (
        "journal",
        Known::Table(&[("window_s", VALUE), ("window_entries", VALUE), ("quota_mib", VALUE), ("raw_frames", VALUE)]),
    ),
    ("batch", Known::Table(&[("entries", VALUE), ("age_s", VALUE)])),
    ("clock", Known::Table(&[("synced_file", VALUE), ("error_ms", VALUE)])),
    ("control", Known::Table(&[("socket", VALUE), ("group", VALUE), ("admin_group", VALUE)])),
    (
        "bus",
        Known::Tables(&[
            ("name", VALUE),
            ("protocol", VALUE),
            ("port", VALUE),
            ("baud", VALUE),
            ("parity", VALUE),
            ("latency_ms", VALUE),
            ("reply_timeout_ms", VALUE),
            ("gap_timeout_ms", VALUE),
            ("retries", VALUE),
            ("telegrams_max", VALUE),
            ("silent_percent", VALUE),
            ("select", VALUE),
            ("receiver", VALUE),
            ("modes", VALUE),
            ("c_format", VALUE),
            ("silence_s", VALUE),
        ]),
    ),
    (
        "meter",
        Known::Tables(&[
            ("point", VALUE),
            ("bus", VALUE),
            ("address", VALUE),
            ("secondary", VALUE),
            ("id", VALUE),
            ("security", VALUE),
            ("interval_s", VALUE),
            ("reply_timeout_ms", VALUE),
            ("gap_timeout_ms", VALUE),
            ("retries", VALUE),
            ("telegrams_max", VALUE),
        ]),
    ),
];
