//! `plomb config`: configurations, checked and sent.

mod check;
mod propose;

use crate::{
    args::{ConfigArgs, ConfigVerb},
    exit::Failure,
    show::Show,
};

pub(super) fn config(args: &ConfigArgs, show: &Show) -> Result<u8, Failure> {
    match &args.verb {
        ConfigVerb::Check(args) => check::check(args, show),
        ConfigVerb::Propose(args) => propose::propose(args, show),
    }
}
