//! From method and path to what is asked. Pure.

use hyper::{Method, StatusCode};
use plomb_seal::{Name, SIGNED_BYTES_MAX};

use super::{answer::Objection, enrol, submit, tile::Tile};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// The newest checkpoint.
    Checkpoint,
    /// A tile.
    Tile(Tile),
    /// A transaction is brought.
    Submit,
    /// One transaction, by leaf hash or index.
    Transaction(String, Form),
    /// A page of the history.
    History,
    /// What a gateway is sealed to, and what it has to do.
    Gateway(Name),
    /// The gateway's sealing key with all that vouches for it.
    Recipient(Name),
    /// A step of an enrolment, or a renewal.
    Enrol(enrol::Step),
}

/// In what form a transaction is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Told as JSON.
    Told,
    /// Its bytes.
    Bytes,
    /// Its tlog-proof.
    Proof,
}

/// Whom a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Whoever holds a certificate.
    Holders,
    /// As the configuration says of the log.
    Log,
    /// Anybody, within bounds.
    Anybody,
}

impl Route {
    pub(super) fn of(method: &Method, path: &str) -> Result<Self, Objection> {
        let unknown = || Objection::not_found("there is nothing at this path");
        let (route, takes) = Self::at(path).ok_or_else(unknown)?;
        let fits = takes == method || (takes == Method::GET && method == Method::HEAD);
        let other = || {
            Objection::new(StatusCode::METHOD_NOT_ALLOWED, "method", format!("this path takes {takes}, not {method}"))
        };
        if fits { Ok(route) } else { Err(other()) }
    }

    fn at(path: &str) -> Option<(Self, Method)> {
        if let Some(rest) = path.strip_prefix("/enrol") {
            return enrol::Step::at(rest).map(|(step, method)| (Self::Enrol(step), method));
        }
        let route = match path.strip_prefix('/')? {
            "checkpoint" => Self::Checkpoint,
            "ledger/transactions" => return Some((Self::Submit, Method::POST)),
            "ledger/history" => Self::History,
            other => match other.split_once('/')? {
                ("tile", rest) => Self::Tile(Tile::from_path(rest)?),
                ("ledger", rest) => Self::within_ledger(rest)?,
                _ => return None,
            },
        };
        Some((route, Method::GET))
    }

    fn within_ledger(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        let (of, which, form) = (parts.next()?, parts.next()?, parts.next());
        if parts.next().is_some() {
            return None;
        }
        match (of, form) {
            ("transactions", None) => Some(Self::Transaction(which.into(), Form::Told)),
            ("transactions", Some("bytes")) => Some(Self::Transaction(which.into(), Form::Bytes)),
            ("transactions", Some("proof")) => Some(Self::Transaction(which.into(), Form::Proof)),
            ("gateways", None) => Some(Self::Gateway(which.parse().ok()?)),
            ("gateways", Some("recipient")) => Some(Self::Recipient(which.parse().ok()?)),
            _ => None,
        }
    }

    /// The largest body that is read here; `None` where none is.
    pub(super) fn body_bytes_max(&self) -> Option<usize> {
        match self {
            Self::Submit => Some(submit::BODY_BYTES_MAX),
            Self::Enrol(step) if step.has_body() => Some(SIGNED_BYTES_MAX),
            _ => None,
        }
    }

    pub(super) fn access(&self) -> Access {
        match self {
            Self::Checkpoint | Self::Tile(_) => Access::Log,
            Self::Enrol(step) if *step != enrol::Step::Renew => Access::Anybody,
            _ => Access::Holders,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_meaning_and_one_method() {
        let get = |path: &str| Route::of(&Method::GET, path).map_err(|objection| objection.status.as_u16());
        assert_eq!(get("/checkpoint"), Ok(Route::Checkpoint));
        assert_eq!(get("/ledger/transactions/17/proof"), Ok(Route::Transaction("17".into(), Form::Proof)));
        assert_eq!(get("/ledger/gateways/gw-1/recipient"), Ok(Route::Recipient("gw-1".parse().unwrap())));
        assert_eq!(get("/ledger/transactions"), Err(405));
        assert_eq!(Route::of(&Method::HEAD, "/ledger/history").unwrap(), Route::History);
        assert_eq!(Route::of(&Method::POST, "/ledger/transactions").unwrap(), Route::Submit);
        for path in [
            "",
            "/",
            "checkpoint",
            "/checkpoint/",
            "//checkpoint",
            "/tile/0/000/..",
            "/tile/../checkpoint",
            "/ledger",
            "/ledger/gateways/GW",
            "/ledger/gateways/gw-1/x",
            "/ledger/transactions/1/proof/2",
            "/ledger/history/1",
        ] {
            assert_eq!(get(path), Err(404), "{path}");
        }
        assert_eq!(Route::of(&Method::DELETE, "/checkpoint").unwrap_err().status.as_u16(), 405);
    }
}
