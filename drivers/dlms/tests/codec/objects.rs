//! Interface classes, against bytes laid out by hand as IEC 62056-6-2 defines them.

use plomb_dlms::apdu::{AttributeDescriptor, Conformance, ContextName, Mechanism, MethodDescriptor};
use plomb_dlms::axdr::{DateTime, Value};
use plomb_dlms::object::*;
use plomb_session::Obis;
use proptest::prelude::*;

use crate::values::any_value;
use crate::{hex, hex_of};

fn value(text: &str) -> Value {
    Value::parse_whole(&hex(text)).unwrap()
}

fn at(text: &str) -> Obis {
    text.parse().unwrap()
}

/// What a call sends: method, and parameters as bytes.
fn sent(call: &Call) -> (u16, i8, String) {
    let MethodDescriptor { class, method, .. } = call.method;
    (class, method, hex_of(&call.parameters.to_bytes()))
}

#[test]
fn registers() {
    let register = DemandRegister(at("1-0:1.4.0"));
    assert_eq!(register.scaler_unit().descriptor, AttributeDescriptor::new(5, register.0, 4));
    let scaler = register.scaler_unit().read(&value("02 02 0f ff 16 1b")).unwrap();
    assert_eq!((scaler.scaler, scaler.unit.symbol()), (-1, "W"));
    let average = register.last_average_value().read(&value("06 0000 3039")).unwrap();
    assert_eq!(scaler.apply(&average).unwrap().to_string(), "1234.5");
    assert_eq!(register.period().read(&value("06 00000384")), Ok(900));
    assert_eq!(register.number_of_periods().read(&value("12 0001")), Ok(1));
    let time = register.capture_time().read(&value("09 0c 07e8 01 1f 03 0f 1e 00 00 ffc4 00")).unwrap().unwrap();
    assert_eq!(time.to_string(), "2024-01-31T15:30:00+01:00");
    assert_eq!(register.capture_time().read(&value("09 00")), Ok(None), "it never was captured");
    assert_eq!(sent(&register.next_period()), (5, 2, "0f00".into()));
}

#[test]
fn the_clock() {
    let clock = Clock(at("0-0:1.0.0"));
    let time = clock.time().read(&value("09 0c 07e8 07 0f 01 0c 00 00 00 ff88 80")).unwrap();
    assert_eq!((time.to_string().as_str(), time.status.is_daylight_saving()), ("2024-07-15T12:00:00+02:00", true));
    assert_eq!(clock.time().read(&Value::DateTime(time)), Ok(time), "the type of its own, too");
    assert_eq!(clock.time_zone().read(&value("10 ffc4")), Ok(-60));
    let begin = clock.daylight_savings_begin().read(&value("09 0c ffff 03 fe 07 02 00 00 00 8000 ff")).unwrap();
    assert_eq!((begin.unwrap().date.day, begin.unwrap().date.month), (0xFE, 3), "the last Sunday of March");
    assert_eq!(clock.daylight_savings_deviation().read(&value("0f 3c")), Ok(60));
    assert_eq!(clock.daylight_savings_enabled().read(&value("03 ff")), Ok(true));
    assert!(clock.status().read(&value("11 02")).unwrap().is_doubtful());
    let change = clock.set_time(DateTime::from_unix_s(1_721_037_600, -120).unwrap());
    assert_eq!(change.attribute, AttributeDescriptor::new(8, clock.0, 2));
    assert_eq!(hex_of(&change.value.to_bytes()), "090c07e8070f010c000000ff8800");
    assert_eq!(sent(&clock.shift_time(-2).unwrap()), (8, 6, "10fffe".into()));
    assert_eq!((clock.shift_time(901), clock.shift_time(i16::MIN)), (None, None));
}

#[test]
fn a_profile() {
    let profile = ProfileGeneric(at("1-0:99.1.0"));
    let columns = profile
        .capture_objects()
        .read(&value(
            "01 03
             02 04 12 0008 09 06 0000010000ff 0f 02 12 0000
             02 04 12 0001 09 06 0000600a01ff 0f 02 12 0000
             02 04 12 0003 09 06 0100010800ff 0f 02 12 0000",
        ))
        .unwrap();
    assert!(columns[0].is_clock() && !columns[1].is_clock());
    let scalers: Vec<_> = columns.iter().map(CaptureObject::scaler_unit).collect();
    assert_eq!(scalers, [None, None, Some(AttributeDescriptor::new(3, at("1-0:1.8.0"), 3))]);
    assert_eq!(profile.sort_method().read(&value("16 02")), Ok(SortMethod::LIFO));
    assert_eq!(profile.sort_object().read(&value("02 04 12 0008 09 06 0000010000ff 0f 02 12 0000")), Ok(columns[0]));
    assert_eq!(profile.entries_in_use().read(&value("06 00001388")), Ok(5000));
    // Newest first, the second without its time, the third with a status word of its own.
    let buffer = value(
        "01 03
         02 03 09 0c 07e8 01 1f 03 00 00 00 00 ffc4 00 11 00 06 000003e8
         02 03 00 00 06 000003e7
         02 03 00 11 08 00",
    );
    let (rows, odd) = rows_in_order(&buffer, &columns, 900, SortMethod::LIFO);
    assert_eq!(odd, 0);
    let times: Vec<_> = rows.iter().map(|row| row.time.unwrap().to_string()).collect();
    assert_eq!(times, ["2024-01-31T00:00:00+01:00", "2024-01-30T23:45:00+01:00", "2024-01-30T23:30:00+01:00"]);
    let statuses: Vec<_> = rows.iter().map(|row| row.values[1].clone()).collect();
    assert_eq!(statuses, [Value::Unsigned(0), Value::Unsigned(0), Value::Unsigned(8)]);
    let energy = Column { object: columns[2], scaler_unit: Some(ScalerUnit { scaler: -2, unit: Unit(30) }) };
    let numbers: Vec<_> = rows.iter().map(|row| energy.number(&row.values[2]).unwrap().to_string()).collect();
    assert_eq!(numbers, ["10.00", "9.99", "9.99"]);
    let (sorted, _) = rows_in_order(&buffer, &columns, 900, SortMethod::LARGEST);
    assert!(sorted[1].time.is_none(), "no time follows from a place in an order of numbers");
    // A compact array that is no whole number of rows is no empty profile.
    assert_eq!(rows_in_order(&value("13 02 01 06 03 000000"), &columns, 900, SortMethod::FIFO), (vec![], 1));
}

/// Rows that tell differences to the row before (types 28 to 33).
#[test]
fn differences_are_added_up_in_the_order_of_their_capture() {
    let columns = capture_objects(&value("01 01 02 04 12 0003 09 06 0100010800ff 0f 02 12 0000")).unwrap_or_default();
    let buffer = value("01 04 02 01 06 000003e8 02 01 1f 05 02 01 1c ff 02 01 00");
    let numbers = |method| -> Vec<Value> {
        let (rows, odd) = rows_in_order(&buffer, &columns, 900, method);
        assert_eq!(odd, 0);
        rows.into_iter().map(|row| row.values[0].clone()).collect()
    };
    assert_eq!(numbers(SortMethod::FIFO), [1000, 1005, 1004, 1004].map(Value::DoubleLongUnsigned));
    // Newest first, the row before is the later one: what the difference counts from is not in sight.
    assert_eq!(numbers(SortMethod::LIFO)[1], Value::DeltaUnsigned(5));
    // A sum that its type can't hold, and a difference without anything before it, stay differences.
    let low = value("01 03 02 01 1c 01 02 01 11 00 02 01 1c ff");
    let (rows, _) = rows_in_order(&low, &columns, 900, SortMethod::FIFO);
    assert_eq!(rows[0].values, [Value::DeltaInteger(1)]);
    assert_eq!(rows[2].values, [Value::DeltaInteger(-1)]);
}

#[test]
fn an_association() {
    let association = Association::CURRENT;
    let list = association
        .object_list()
        .read(&value(
            "01 02
             02 04 12 0008 11 00 09 06 0000010000ff 02 02
                01 02 02 03 0f 01 16 01 00
                      02 03 0f 02 16 06 01 02 0f 01 0f 02
                01 01 02 02 0f 06 16 01
             02 04 12 000f 11 01 09 06 0000280000ff 02 02
                01 01 02 03 0f 02 16 01 00
                01 01 02 02 0f 01 03 01",
        ))
        .unwrap();
    let clock = &list[0].access_rights;
    assert_eq!((list[0].class_id, list[0].logical_name), (8, at("0-0:1.0.0")));
    let time = &clock.attribute_access[1];
    assert_eq!((time.attribute_id, time.access_selectors.as_slice()), (2, [1, 2].as_slice()));
    let rights = |mode: AccessMode, version| {
        (mode.reads(version), mode.writes(version), mode.calls(version), mode.wants_authentication(version))
    };
    assert_eq!(rights(time.access_mode, 1), (true, true, false, true));
    assert_eq!(rights(clock.attribute_access[0].access_mode, 1), (true, false, true, false));
    assert!(list[1].access_rights.method_access[0].access_mode.calls(0));
    // From version 3 on the same numbers are bits.
    assert_eq!(rights(AccessMode(0x06), 3), (false, true, false, true));
    assert_eq!(object_list(&value("01 01 02 04 12 0008 11 00 09 06 0000010000ff 02 00")).len(), 1);

    let info = value("02 06 04 18 001e1d 12 04b0 12 0200 11 06 0f 00 09 00");
    let info = association.xdlms_context_info().read(&info).unwrap();
    assert_eq!((info.conformance, info.max_receive_pdu_size), (Conformance(0x1E1D), 1200));
    let name = association.authentication_mechanism_name();
    assert_eq!(name.read(&value("09 07 60857405080205")), Ok(Mechanism::GMAC));
    let parts = "02 07 11 02 11 10 12 02f4 11 05 11 08 11 01 11 03";
    assert_eq!(association.application_context_name().read(&value(parts)), Ok(ContextName::LOGICAL_NAMES_CIPHERED));
    assert_eq!(association.association_status().read(&value("16 02")), Ok(AssociationStatus::ASSOCIATED));
    let partners = association.associated_partners_id().read(&value("02 02 0f 01 12 0001")).unwrap();
    assert_eq!((partners.client_sap, partners.server_sap), (1, 1));
    let devices = SapAssignment::STANDARD.sap_assignment_list();
    let devices = devices.read(&value("01 01 02 02 12 0001 09 04 504c4d31")).unwrap();
    assert_eq!((devices[0].sap, devices[0].logical_device_name.to_string().as_str()), (1, "\"PLM1\""));
}

#[test]
fn the_supply() {
    let switch = DisconnectControl(at("0-0:96.3.10"));
    assert_eq!(switch.output_state().read(&value("03 00")), Ok(false));
    assert_eq!(switch.control_state().read(&value("16 02")), Ok(ControlState::READY_FOR_RECONNECTION));
    let mode = switch.control_mode().read(&value("16 09")).unwrap();
    assert_eq!((mode.to_string().as_str(), mode.closes_remotely()), ("unknown (9)", None));
    let closes: Vec<_> = (0..8).map(|mode| ControlMode(mode).closes_remotely()).collect();
    let [yes, no] = [Some(true), Some(false)];
    assert_eq!(closes, [yes, no, yes, no, yes, no, no, None]);
    assert_eq!(sent(&switch.remote_disconnect()), (70, 1, "0f00".into()));
    assert_eq!(sent(&switch.remote_reconnect()), (70, 2, "0f00".into()));

    let limiter = Limiter(at("0-0:17.0.0"));
    let monitored = limiter.monitored_value().read(&value("02 03 12 0003 09 06 01000f0700ff 0f 02")).unwrap();
    assert_eq!((monitored.class_id, monitored.logical_name), (3, at("1-0:15.7.0")));
    let emergency = value("02 03 12 0001 09 0c ffff ff ff ff ff ff ff ff 8000 ff 06 00000e10");
    assert_eq!(limiter.emergency_profile().read(&emergency).unwrap().emergency_duration, 3600);
    let actions = value("02 02 02 02 09 06 00000a006aff 12 0001 02 02 09 06 00000a006aff 12 0002");
    let actions = limiter.actions().read(&actions).unwrap();
    assert_eq!(actions.action_over_threshold.script_selector, 1);
    assert_eq!(actions.action_under_threshold.script_logical_name, at("0-0:10.0.106"));
}

#[test]
fn times_of_use() {
    let calendar = ActivityCalendar(at("0-0:13.0.0"));
    let seasons = value("01 01 02 03 09 01 31 09 0c ffff 04 01 ff 00 00 00 00 8000 ff 09 01 41");
    let seasons = calendar.season_profile_active().read(&seasons).unwrap();
    assert_eq!(seasons[0].season_start.unwrap().to_string(), "****-04-01T00:00:00");
    let weeks = value("01 01 02 08 09 01 41 11 01 11 01 11 01 11 01 11 01 11 02 11 03");
    assert_eq!(calendar.week_profile_table_active().read(&weeks).unwrap()[0].days(), [1, 1, 1, 1, 1, 2, 3]);
    let days = value(
        "01 01 02 02 11 01 01 02
         02 03 09 04 00000000 09 06 00000a0064ff 12 0001
         02 03 09 04 06000000 09 06 00000a0064ff 12 0002",
    );
    let days = calendar.day_profile_table_active().read(&days).unwrap();
    assert_eq!(days[0].day_schedule[1].start_time.to_string(), "06:00:00");
    assert_eq!(days[0].day_schedule[1].script_selector, 2);
    assert_eq!(sent(&calendar.activate_passive_calendar()), (20, 1, "0f00".into()));

    let special = SpecialDays(at("0-0:11.0.0"));
    let entries = special.entries().read(&value("01 01 02 03 12 0001 09 05 ffff 0c 19 ff 11 03")).unwrap();
    assert_eq!((entries[0].specialday_date.to_string().as_str(), entries[0].day_id), ("****-12-25", 3));
    assert_eq!(sent(&special.insert(&entries[0])), (11, 1, "0203120001 0905ffff0c19ff 1103".replace(' ', "")));
    assert_eq!(sent(&special.delete(7)), (11, 2, "120007".into()));

    let scripts = ScriptTable(at("0-0:10.0.100")).scripts();
    let scripts = scripts.read(&value("01 01 02 02 12 0001 01 01 02 05 16 02 12 0006 09 06 00000e0000ff 0f 01 0f 00"));
    let action = &scripts.unwrap()[0].actions[0];
    assert_eq!((action.service_id, action.class_id, action.index), (ScriptService::EXECUTE, 6, 1));
    let schedule = SingleActionSchedule(at("0-0:15.0.0"));
    let times = schedule.execution_time().read(&value("01 01 02 02 09 04 00000000 09 05 ffff ff 01 ff")).unwrap();
    assert_eq!(format!("{} {}", times[0].date, times[0].time), "****-**-01 00:00:00");
    assert_eq!(schedule.schedule_type().read(&value("16 01")), Ok(ScheduleType::ONE_TIME_OPEN_DATE));
}

#[test]
fn prepayment() {
    let account = Account(at("0-0:19.0.0"));
    let mode = account.account_mode_and_status().read(&value("02 02 16 02 16 02")).unwrap();
    assert_eq!((mode.account_mode, mode.account_status), (AccountMode::PREPAYMENT, AccountStatus::ACTIVE));
    let state = account.current_credit_status().read(&value("04 08 c0")).unwrap();
    assert!(state.is_in_credit() && state.is_low() && !state.is_out_of_credit());
    assert_eq!(state.words().collect::<Vec<_>>(), ["in credit", "low credit"]);
    let currency = account.currency().read(&value("02 03 0c 03 585846 0f fe 16 02")).unwrap();
    let left = account.available_credit().read(&value("05 fffff830")).unwrap();
    assert_eq!(currency.amount(left).unwrap().to_string(), "-20.00");
    let credits = account.credit_reference_list().read(&value("01 01 09 06 0000130a00ff")).unwrap();
    assert_eq!(credits, [at("0-0:19.10.0")]);
    let configured = value("01 01 02 03 09 06 0000130a00ff 09 06 0000131400ff 04 03 80");
    let configured = account.credit_charge_configuration().read(&configured).unwrap();
    assert!(configured[0].collection_configuration.when_disconnected());

    let credit = Credit(credits[0]);
    assert_eq!(credit.credit_type().read(&value("16 02")), Ok(CreditType::EMERGENCY));
    assert_eq!(credit.credit_status().read(&value("16 03")), Ok(CreditStatus::IN_USE));
    assert!(credit.credit_configuration().read(&value("04 05 08")).unwrap().takes_tokens());
    assert_eq!(sent(&credit.update_amount(-5)), (112, 1, "05fffffffb".into()));

    let charge = Charge(at("0-0:19.20.0"));
    let prices = value(
        "02 03 02 02 0f 03 0f fd 02 03 12 0003 09 06 0100010800ff 0f 02
         01 02 02 02 09 01 01 10 00d7 02 02 09 01 02 10 0064",
    );
    let prices = charge.unit_charge_active().read(&prices).unwrap();
    assert_eq!(prices.price(&prices.charge_table[0]).unwrap().to_string(), "0.215");
    let by_time = value("02 03 02 02 0f 00 0f 00 02 03 12 0000 09 00 0f 00 01 00");
    assert_eq!(charge.unit_charge_passive().read(&by_time).unwrap().commodity_reference.logical_name, None);

    let gateway = TokenGateway(at("0-0:19.40.0"));
    let status = gateway.token_status().read(&value("02 02 16 05 04 00")).unwrap();
    assert_eq!((status.status_code.name(), status.status_code.took_effect()), ("authentication failure", Some(false)));
    assert_eq!(TokenStatusCode(8).took_effect(), None);
    assert_eq!(sent(&gateway.enter(vec![0x12, 0x34])), (115, 1, "09021234".into()));
}

#[test]
fn pushes_keys_images_and_other_meters() {
    let push = PushSetup(at("0-0:25.9.0"));
    let objects = value(
        "01 02 02 04 12 0001 09 06 00002a0000ff 0f 02 12 0000
         02 05 12 0007 09 06 0100630100ff 0f 02 12 0000 02 02 16 00 00",
    );
    let objects = push.push_object_list().read(&objects).unwrap();
    assert_eq!((objects[0].restriction.is_some(), objects[1].restriction.is_some()), (false, true));
    let destination = push.send_destination_and_method();
    let destination = destination.read(&value("02 03 16 00 09 0e 3139322e302e322e313a34303539 16 00")).unwrap();
    assert_eq!(destination.destination.to_string(), "\"192.0.2.1:4059\"");
    assert_eq!((destination.transport_service, destination.message), (PushTransport::TCP, PushMessage::A_XDR));
    assert_eq!(push.repetition_delay().read(&value("12 003c")), Ok(RepetitionDelay::Seconds(60)));
    let growing = RepetitionDelay::Growing { min: 10, exponent: 200, max: 600 };
    assert_eq!(push.repetition_delay().read(&value("02 03 12 000a 12 00c8 12 0258")), Ok(growing));

    let security = SecuritySetup(at("0-0:43.0.0"));
    let policy = security.security_policy().read(&value("16 03")).unwrap();
    assert_eq!(policy.words(0).collect::<Vec<_>>(), ["all authenticated", "all encrypted"]);
    assert_eq!(SecurityPolicy(0x6C).words(1).count(), 4);
    let title = security.server_system_title().read(&value("09 08 504c4d0000000001")).unwrap();
    assert_eq!(title.0, *b"PLM\0\0\0\0\x01");
    let call = security.key_transfer(&[(KeyId::UNICAST_ENCRYPTION, vec![0xAA; 2])]);
    assert_eq!(sent(&call), (64, 2, "0101020216000902aaaa".into()));
    let certificates = value("01 01 02 06 16 00 16 01 09 01 07 09 01 41 09 01 42 09 00");
    let certificates = security.certificates().read(&certificates).unwrap();
    assert_eq!(certificates[0].certificate_type, CertificateType::KEY_AGREEMENT);

    let image = ImageTransfer(at("0-0:44.0.0"));
    assert_eq!(image.image_transfer_status().read(&value("16 04")), Ok(ImageStatus::VERIFICATION_FAILED));
    let info = image.image_to_activate_info().read(&value("01 01 02 03 06 00010000 09 02 4657 09 00")).unwrap();
    assert_eq!((info[0].image_to_activate_size, info[0].image_to_activate_signature.is_none()), (65_536, true));

    let mbus = MbusClient(at("0-1:24.1.0"));
    let definition = mbus.capture_definition().read(&value("01 01 02 02 09 01 0c 09 01 13")).unwrap();
    assert_eq!(definition[0].data_information_block.0, [0x0C]);
    assert_eq!(mbus.identification_number().read(&value("06 12345678")), Ok(0x1234_5678));
    assert_eq!(mbus.encryption_key_status().read(&value("16 04")), Ok(MbusKeyStatus::IN_USE));
    assert_eq!(sent(&mbus.slave_install(1)), (72, 1, "1101".into()));
}

#[test]
fn what_is_wrong_is_named() {
    let error = Association::CURRENT.object_list().read(&value("01 01 02 04 12 0008 11 00 09 05 0000010000 00"));
    assert_eq!(
        error.unwrap_err().to_string(),
        "attribute 2 of 0-0:40.0.0*255 (class 15): element 0: logical_name: a logical name of six bytes was due, not \
         octet-string; its raw value is all there is"
    );
    let short = ActivityCalendar(at("0-0:13.0.0")).week_profile_table_active().read(&value("01 01 02 02 09 00 11 01"));
    assert!(short.unwrap_err().to_string().contains("tuesday: a field was due, not the structure's end"));
    assert!(Clock(at("0-0:1.0.0")).time_zone().read(&value("12 8000")).is_err(), "more than its 16 bits");
}

#[test]
fn names_are_the_standard_s() {
    assert_eq!(class_name(7), Some("profile generic"));
    assert_eq!((attribute_name(3, 3), attribute_name(8, 2)), (Some("scaler_unit"), Some("time")));
    assert_eq!((method_name(70, 2), attribute_name(7, 1)), (Some("remote_reconnect"), Some("logical_name")));
    assert_eq!((class_name(9999), attribute_name(3, 9), method_name(3, 9)), (None, None, None));
}

/// Reads a value as every attribute of the classes.
macro_rules! read_all {
    ($value:expr, $($class:ident: $($attribute:ident)*;)*) => {
        $($(let _ = $class(Obis([0, 0, 1, 0, 0, 255])).$attribute().read($value);)*)*
    };
}

proptest! {
    #[test]
    fn any_value_is_read_or_refused(value in any_value()) {
        read_all!(&value,
            Register: scaler_unit;
            DemandRegister: capture_time period;
            ProfileGeneric: capture_objects sort_object sort_method entries_in_use;
            Clock: time time_zone status daylight_savings_begin daylight_savings_enabled clock_base;
            ScriptTable: scripts;
            SpecialDays: entries;
            Association: object_list associated_partners_id application_context_name xdlms_context_info user_list;
            SapAssignment: sap_assignment_list;
            ImageTransfer: image_transferred_blocks_status image_to_activate_info;
            ActivityCalendar: season_profile_active week_profile_table_active day_profile_table_active;
            SingleActionSchedule: executed_script execution_time;
            PushSetup: push_object_list send_destination_and_method communication_window repetition_delay;
            SecuritySetup: security_policy certificates;
            DisconnectControl: output_state control_mode;
            Limiter: monitored_value emergency_profile actions;
            MbusClient: capture_definition encryption_key_status;
            Account: current_credit_status credit_charge_configuration currency;
            Credit: credit_configuration period;
            Charge: unit_charge_active;
            TokenGateway: token token_status token_description;
        );
        let _ = object_list(&value);
        let columns = capture_objects(&value).unwrap_or_default();
        let _ = rows_in_order(&value, &columns, u32::MAX, SortMethod::LIFO);
    }
}
