//! `plomb-hub init`: a new ledger.

use std::{fs, net::SocketAddr, os::unix::fs::DirBuilderExt, path::Path};

use plomb_seal::{
    Name, Signed,
    transaction::{Genesis, Member},
};
use rcgen::Issuer;
use serde_json::json;

use crate::{
    config::HubConfig,
    desk::commit,
    files,
    hub::{self, unix_ms},
    ledger::{Answer, Ledger, Signers},
    pki,
};

use super::{Failure, args::InitArgs, exit, print, print_json};

/// The names that every hub answers to.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

pub(super) fn init(args: &InitArgs) -> Result<(), Failure> {
    let member: Name = args
        .member
        .parse()
        .map_err(|error: plomb_seal::NameError| Failure::new(exit::USAGE, format!("--member: {error}")))?;
    if args.origin.is_empty() || args.origin.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
        let what = "--origin: use a word without spaces or plus signs, like ledger.example/street";
        return Err(Failure::new(exit::USAGE, what));
    }
    empty_directory(&args.dir)?;
    let file = |name: &str| args.dir.join(name);
    let now_s = unix_ms().div_euclid(1000);
    let pki = |error: pki::PkiError| Failure::new(exit::USAGE, error.to_string());

    let member_key = files::make_seed(&file(hub::MEMBER_KEY))?;
    let authority_key = files::make_pair(&file(hub::AUTHORITY_KEY))?;
    let authority = pki::authority(&member, &authority_key, now_s).map_err(pki)?;
    files::write_new(&file(hub::AUTHORITY), authority.pem().as_bytes())?;

    let issuer = Issuer::from_ca_cert_der(authority.der(), authority_key).map_err(|error| pki(error.into()))?;
    let server_key = files::make_pair(&file("server.key"))?;
    let hosts: Vec<String> = LOCAL.iter().map(ToString::to_string).chain(args.hosts.iter().cloned()).collect();
    let server = pki::server(&hosts, &server_key, &issuer, now_s).map_err(pki)?;
    files::write_new(&file("server.crt"), server.pem().as_bytes())?;

    let witness = format!("{}/{member}", args.origin);
    let signers = Signers {
        origin: args.origin.clone(),
        log: files::make_seed(&file(hub::LOG_KEY))?,
        witness_name: witness.clone(),
        witness: files::make_seed(&file(hub::WITNESS_KEY))?,
    };
    files::write_new(&file(hub::POLICY), signers.policy().as_bytes())?;
    let text = configuration(&witness, args);
    files::write_new(&file("hub.toml"), text.as_bytes())?;

    let key = member_key.public();
    let members = vec![Member { name: member.clone(), key, authority: authority.der().to_vec() }];
    let genesis = Genesis { origin: args.origin.clone(), members, quorum: 1 };
    found(&args.dir, signers, Signed::sign(genesis, &member_key).into_bytes())?;
    // What was written is what a start will read.
    HubConfig::load(&file("hub.toml"))?;
    report(args, &member)
}

fn empty_directory(dir: &Path) -> Result<(), Failure> {
    let io = |error: std::io::Error| Failure::io(dir.display(), &error);
    match fs::read_dir(dir).map(Iterator::count) {
        Ok(0) => Ok(()),
        Ok(_) => {
            let what = format!("{} is not empty; init never overwrites: name a new directory", dir.display());
            Err(Failure::new(exit::USAGE, what))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)
        }
        Err(error) => Err(io(error)),
    }
}

/// The ports that broker and HTTPS have unless told otherwise.
const BROKER_PORT: u16 = 8883;
const HTTPS_PORT: u16 = 8443;

fn configuration(witness: &str, args: &InitArgs) -> String {
    let beside = (args.listen.port() == BROKER_PORT).then(|| SocketAddr::new(args.listen.ip(), HTTPS_PORT));
    let (mark, http) = match args.http.or(beside) {
        Some(http) => ("", http),
        None => ("# ", SocketAddr::new(args.listen.ip(), HTTPS_PORT)),
    };
    let quoted = |text: &str| toml::Value::from(text).to_string();
    format!(
        "# The hub of one ledger. Paths count from this file's directory.\n\
         origin = {}\n\
         witness = {}\n\
         listen = {}\n\
         # checkpoint_interval_s = 60   # how often an idle ledger is cosigned anew\n\
         # block_window_ms = 0          # how long a block waits for more than has come\n\
         \n\
         {mark}[http]                         # the log, lookups, enrolment: over HTTPS\n\
         {mark}listen = {}\n\
         # open_log = false             # whether anybody may read the log, without a certificate\n\
         # enrol = true                 # whether gateways may ask to be taken on\n\
         # renew = true                 # whether gateways get their next certificate by themselves\n\
         \n\
         # [limits]                     # the broker's bounds\n\
         # connections_max = 1000\n",
        quoted(&args.origin),
        quoted(witness),
        quoted(&args.listen.to_string()),
        quoted(&http.to_string())
    )
}

fn found(dir: &Path, signers: Signers, genesis: Vec<u8>) -> Result<(), Failure> {
    let ledger =
        Ledger::open(&dir.join(hub::LEDGER), signers).map_err(|error| Failure::new(exit::IO, error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| Failure::io("runtime", &error))?;
    match runtime.block_on(commit(&ledger, None, genesis))? {
        Answer::Refused(refused) => Err(Failure::new(exit::USAGE, refused.to_string())),
        Answer::Admitted { .. } | Answer::Known { .. } => Ok(()),
    }
}

fn report(args: &InitArgs, member: &Name) -> Result<(), Failure> {
    let config = args.dir.join("hub.toml");
    if args.json {
        return print_json(&json!({
            "schema": "plomb.hub-init/1", "config": config, "origin": args.origin, "member": member.as_str(),
            "policy": args.dir.join(hub::POLICY), "authority": args.dir.join(hub::AUTHORITY),
        }));
    }
    print(&format!(
        "The ledger {} is founded in {}.\n\
         Keep copies of member.key and ca.key offline: they certify and revoke.\n\
         Next:\n  \
           plomb-hub certify --config {config} --role gateway --id gw-0001 --out ./gw-0001\n  \
           plomb-hub --config {config}\n",
        args.origin,
        args.dir.display(),
        config = config.display()
    ))
}
