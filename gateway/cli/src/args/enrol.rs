//! What `plomb enrol` takes.

use std::path::PathBuf;

use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
#[command(after_help = "On the gateway, over the network:

  plomb enrol --hub https://hub.example:8443 --hub-pin 5f0c… --id gw-7

makes the key here (it never leaves), shows claim code and QR code, and waits. Tell the code
to the hub's operator (`plomb-hub enrol approve`); he reads four words to you. Compare them
with those that are shown here: they differ if somebody stands in between. Say yes, and
certificate, credential and policy are fetched and laid down beside the key.

What was begun goes on where it was: `plomb enrol` alone takes it up, after a power cut too.

For a site without a network, by two files; the phrase has eight words then:

  plomb enrol --id gw-8 --out request.cbor                 and bring it to the operator
  plomb enrol --grant grant.cbor                           that he gave back

Examples:
  plomb enrol --hub https://hub.example --ca ca.crt --id gw-7 --no-wait
  plomb enrol --accept \"castle uncle hermit button\"
  plomb enrol --rotate-key --hub https://hub.example --ca /etc/plomb/ca.crt

Exit codes: 0 done, 64 wrong usage, 65 refused or the words differ, 69 the hub can't be
reached, 74 reading or writing failed, 77 not allowed, 78 a file is wrong; 130 ctrl-C.")]
#[command(group = clap::ArgGroup::new("way").args(["hub", "out", "grant"]))]
pub(crate) struct EnrolArgs {
    /// The hub, like https://hub.example:8443.
    #[arg(long, value_name = "URL")]
    pub(crate) hub: Option<String>,
    /// The pin of the hub's key, as `plomb-hub enrol pin` prints it.
    #[arg(long, value_name = "SHA256", requires = "hub", conflicts_with = "ca")]
    pub(crate) hub_pin: Option<String>,
    /// The authorities that the hub's certificate must come from (PEM), instead of a pin.
    #[arg(long, value_name = "FILE", requires = "hub")]
    pub(crate) ca: Option<PathBuf>,
    /// The name that the gateway is to have: 1 to 64 characters from a-z, 0-9 and '-'.
    #[arg(long, value_name = "NAME")]
    pub(crate) id: Option<String>,
    /// Where key, certificate and the rest go.
    #[arg(long, value_name = "DIR", default_value = "/etc/plomb")]
    pub(crate) dir: PathBuf,
    /// The user that the daemon runs as: the key is to be its own. Only root can give files away.
    #[arg(long, value_name = "USER", default_value = "plomb")]
    pub(crate) owner: String,
    /// The words that the operator reads: they are compared with those of this side.
    #[arg(long, value_name = "WORDS")]
    pub(crate) accept: Option<String>,
    /// Show the code and end; go on later with `plomb enrol`.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Leave the QR code out.
    #[arg(long)]
    pub(crate) no_qr: bool,
    /// Write a request to this file, for a site without a network.
    #[arg(long, value_name = "FILE", requires = "id")]
    pub(crate) out: Option<PathBuf>,
    /// Take the grant in this file.
    #[arg(long, value_name = "FILE", conflicts_with = "id")]
    pub(crate) grant: Option<PathBuf>,
    /// Make a new key, and have it certified with the signatures of both: the present one must still hold.
    #[arg(long, requires = "hub", conflicts_with_all = ["id", "out", "grant"])]
    pub(crate) rotate_key: bool,
}
