//! Any bytes as a COSEM value: what is read is written and read as the same again, its compact arrays unpack or are
//! refused, and every interface class reads it or refuses it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plomb_dlms::axdr::Value;
use plomb_dlms::object::*;
use plomb_session::Obis;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = Value::parse_whole(bytes) else { return };
    assert_eq!(Value::parse_whole(&value.to_bytes()).as_ref(), Ok(&value));
    let _ = (value.to_string(), value.as_decimal(), value.as_unsigned(), value.as_text(), value.as_date_time());
    if let Value::CompactArray(array) = &value {
        let _ = array.rows();
    }
    let columns = capture_objects(&value).unwrap_or_default();
    let _ = (object_list(&value), pushed(&value), rows_in_order(&value, &columns, 900, SortMethod::LIFO));
    let name = Obis([0, 0, 1, 0, 0, 255]);
    let _ = Association(name).object_list().read(&value).map_err(|error| error.to_string());
    let _ = Association(name).xdlms_context_info().read(&value);
    let _ = ActivityCalendar(name).day_profile_table_active().read(&value);
    let _ = ScriptTable(name).scripts().read(&value);
    let _ = PushSetup(name).push_object_list().read(&value);
    let _ = Charge(name).unit_charge_active().read(&value);
    let _ = Limiter(name).actions().read(&value);
});
