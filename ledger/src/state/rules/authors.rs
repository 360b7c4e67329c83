//! Who signed: rules that several kinds of transactions share, each under a name of its own.

use plomb_seal::{
    Hash, KeyId, Name,
    transaction::{Member, Role},
};

use crate::state::{CertificateRecord, Refused, Standing, State};

/// The transaction is meant for this ledger.
pub(in crate::state) fn origin(rule: &'static str, state: &State, origin: &str) -> Result<(), Refused> {
    match state.founding() {
        Some(founding) if founding.origin == origin => Ok(()),
        _ => Err(Refused::new(rule, format!("the transaction is meant for the ledger \"{origin}\""))),
    }
}

/// A member signed.
pub(in crate::state) fn member<'a>(rule: &'static str, state: &'a State, key: KeyId) -> Result<&'a Member, Refused> {
    let found = state.members().iter().find(|member| member.key.id() == key);
    found.ok_or_else(|| Refused::new(rule, format!("key {key} belongs to no member of the ledger")))
}

/// The key belongs to a certificate of this role, and of this subject if one is named, that holds.
pub(in crate::state) fn holder<'a>(
    rule: &'static str,
    state: &'a State,
    (role, subject): (Role, Option<&Name>),
    key: KeyId,
    time_ms: i64,
) -> Result<&'a CertificateRecord, Refused> {
    let mut ended = None;
    for (_, record) in of_role(state, role, subject, key) {
        match record.standing(state, time_ms) {
            Standing::Holds => return Ok(record),
            standing => ended = Some((record, standing)),
        }
    }
    let whose = subject.map_or_else(
        || format!("no certificate of an {}", role.name()),
        |name| format!("no certificate of gateway {name}"),
    );
    let Some((record, standing)) = ended else {
        return Err(Refused::new(rule, format!("key {key} is recorded in {whose}: certify it first")));
    };
    let why = match standing {
        Standing::Revoked(reason) => format!("is revoked: {reason}"),
        Standing::IssuerLeft(issuer) => {
            format!("was issued by {issuer}, which is no member any more: another member must certify it")
        }
        Standing::OutsideValidity | Standing::Holds => "is outside its validity: certify it anew".into(),
    };
    Err(Refused::new(rule, format!("the certificate of {} with key {key} {why}", record.subject)))
}

/// One of the key's certificates that hold reaches the gateway, or that point of it.
pub(in crate::state) fn in_scope<'a>(
    rule: &'static str,
    state: &'a State,
    (role, key): (Role, KeyId),
    (gateway, point): (&Name, Option<&Name>),
    time_ms: i64,
) -> Result<(&'a Hash, &'a CertificateRecord), Refused> {
    let mut holding =
        of_role(state, role, None, key).filter(|(_, record)| record.standing(state, time_ms) == Standing::Holds);
    holding.find(|(_, record)| record.reaches(gateway, point)).ok_or_else(|| {
        let what =
            point.map_or_else(|| format!("gateway {gateway}"), |point| format!("point {point} of gateway {gateway}"));
        Refused::new(rule, format!("{what} is not in the scope of the {}'s certificate", role.name()))
    })
}

/// The certificates of a key, whether they hold or not.
pub(in crate::state) fn of_role<'a, 'b>(
    state: &'a State,
    role: Role,
    subject: Option<&'b Name>,
    key: KeyId,
) -> impl Iterator<Item = (&'a Hash, &'a CertificateRecord)> + use<'a, 'b> {
    state
        .certificates_of_key(key)
        .filter(move |(_, record)| record.role == role && subject.is_none_or(|subject| record.subject == *subject))
}
