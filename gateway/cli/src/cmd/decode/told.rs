//! What was made of one line, and how it is told.

use std::borrow::Cow;

use plomb_dlms::hdlc;
use plomb_gateway::view::RecordView;
use plomb_mbus::{Annotation, Control};
use plomb_seal::Record;
use plomb_wmbus::{Format, LinkControl};
use serde::Serialize;

use crate::args::Protocol;

use super::said::Said;

/// The schema of an answer.
pub(super) const SCHEMA: &str = "plomb.decode/1";

/// What was made of one line.
#[derive(Default)]
pub(super) struct Told {
    pub(super) protocol: Protocol,
    pub(super) frame: Link,
    pub(super) security: Option<Security>,
    /// The meter that sent it, for a telegram that can't be decoded.
    pub(super) sender: Option<String>,
    pub(super) record: Option<Record>,
    /// DIF 1F: there is more than this telegram.
    pub(super) more: bool,
    /// What a frame without values says.
    pub(super) said: Option<String>,
    /// What a DLMS APDU says.
    pub(super) apdu: Option<Said>,
    pub(super) wrong: Option<Wrong<'static>>,
    /// What each byte is, if that was asked for.
    pub(super) annotations: Option<(Vec<u8>, Vec<Annotation>)>,
    /// The same of the APDU, where it was joined or deciphered.
    pub(super) clear: Option<(Vec<u8>, Vec<Annotation>)>,
    /// What else the line holds: frames may lie one behind the other.
    pub(super) others: Vec<Self>,
}

/// How a telegram was protected.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Security {
    /// The security mode by number; 0 where the extended link layer alone encrypts. DLMS has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<u8>,
    /// The security suite of DLMS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) suite: Option<u8>,
    /// What that comes to.
    pub(super) protection: Cow<'static, str>,
    /// The access number.
    pub(super) access: Option<u8>,
    /// The message counter, of a mode that has one; of DLMS the invocation counter.
    pub(super) counter: Option<u32>,
    /// The sender's system title, of DLMS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
    /// The payload was in clear under an encrypting header, and was accepted because that was asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) decrypted_sample: bool,
}

/// What a run of bytes is.
#[derive(Serialize)]
pub(super) struct AnnotationView<'a> {
    offset: usize,
    length: usize,
    bytes: String,
    layer: &'a str,
    field: &'a str,
    meaning: &'a str,
}

impl Told {
    pub(super) fn wrong(protocol: Protocol, wrong: Wrong<'static>) -> Self {
        Self { protocol, wrong: Some(wrong), ..Self::default() }
    }

    /// Whether it is a part of something whose rest is awaited, and no more.
    pub(super) fn is_awaiting(&self) -> bool {
        let awaited = self.said.as_deref().is_some_and(|said| said.ends_with("the rest is awaited"));
        awaited && self.wrong.is_none() && self.apdu.is_none() && self.record.is_none()
    }

    /// The answer as a document.
    pub(super) fn answer(&self) -> Answer<'_> {
        Answer {
            schema: Some(SCHEMA),
            ok: self.wrong.is_none(),
            error: self.wrong.clone(),
            protocol: self.protocol.name(),
            frame: self.frame.view(),
            security: self.security.as_ref(),
            sender: self.sender.as_deref(),
            more: self.more,
            record: self.record.as_ref().map(RecordView::of),
            bare: (self.record.is_none() && self.wrong.is_none()).then(|| Bare {
                meter: None,
                meter_time: None,
                status: self.said.iter().map(|word| Cow::Borrowed(word.as_str())).collect(),
                records: [],
            }),
            apdu: self.apdu.as_ref(),
            annotations: self.annotations.as_ref().map(annotation_views),
            clear: self.clear.as_ref().map(annotation_views),
            others: self.others.iter().map(|other| Answer { schema: None, ..other.answer() }).collect(),
        }
    }
}

fn annotation_views((bytes, list): &(Vec<u8>, Vec<Annotation>)) -> Vec<AnnotationView<'_>> {
    list.iter()
        .map(|one| AnnotationView {
            offset: one.offset,
            length: one.length,
            bytes: shown(bytes, one),
            layer: one.layer,
            field: one.field,
            meaning: &one.meaning,
        })
        .collect()
}

/// The bytes that an annotation speaks of, as digits; those of a secret are not shown.
pub(super) fn shown(bytes: &[u8], annotation: &Annotation) -> String {
    let run = bytes.get(annotation.offset..).and_then(|rest| rest.get(..annotation.length)).unwrap_or_default();
    if annotation.field == plomb_dlms::annotate::SECRET { "**".repeat(run.len()) } else { hex::encode(run) }
}

/// The frame that the bytes are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Link {
    #[default]
    None,
    Ack,
    Short(Control, u8),
    Long(Control, u8, u8),
    Radio(LinkControl, Format, Option<u8>),
    /// An HDLC frame, from a source to a destination.
    Hdlc(hdlc::Control, hdlc::Address, hdlc::Address),
    /// A DLMS wrapper, from a port to a port.
    Wrapper(u16, u16),
    /// A long frame of M-Bus that carries DLMS: control, address, CI, STSAP and DTSAP.
    Carrier(u8, u8, u8, u8, u8),
}

impl Link {
    pub(super) const fn is_some(self) -> bool {
        !matches!(self, Self::None)
    }

    pub(super) fn view(self) -> FrameView {
        match self {
            Self::None => FrameView::default(),
            Self::Ack => FrameView { frame: Some("ack"), ..FrameView::default() },
            Self::Short(control, address) => FrameView {
                frame: Some("short"),
                control: Some(control_name(control).into()),
                address: Some(address),
                ..FrameView::default()
            },
            Self::Long(control, address, ci) => FrameView {
                frame: Some("long"),
                control: Some(control_name(control).into()),
                address: Some(address),
                ci: Some(ci),
                ..FrameView::default()
            },
            Self::Radio(control, format, ci) => FrameView {
                frame: Some("radio"),
                control: Some(control.name().into()),
                ci,
                format: Some(match format {
                    Format::A => "A",
                    Format::B => "B",
                    Format::Stripped => "stripped",
                }),
                ..FrameView::default()
            },
            Self::Hdlc(control, source, destination) => FrameView {
                frame: Some("hdlc"),
                control: Some(control.to_string().into()),
                source: Some(source.to_string()),
                destination: Some(destination.to_string()),
                ..FrameView::default()
            },
            Self::Wrapper(source, destination) => FrameView {
                frame: Some("wrapper"),
                source: Some(source.to_string()),
                destination: Some(destination.to_string()),
                ..FrameView::default()
            },
            Self::Carrier(control, address, ci, source, destination) => FrameView {
                frame: Some("long"),
                control: Some(control_name(Control::from_code(control)).into()),
                address: Some(address),
                ci: Some(ci),
                source: Some(source.to_string()),
                destination: Some(destination.to_string()),
                ..FrameView::default()
            },
        }
    }

    pub(super) fn words(self) -> Vec<String> {
        let view = self.view();
        let mut words: Vec<String> = view.frame.into_iter().map(Into::into).collect();
        words.extend(view.control.map(Cow::into_owned));
        words.extend(view.address.map(|address| format!("address {address}")));
        words.extend(view.ci.map(|ci| format!("CI {ci:02x}")));
        words.extend(view.format.map(|format| format!("format {format}")));
        words.extend(view.source.map(|source| format!("from {source}")));
        words.extend(view.destination.map(|destination| format!("to {destination}")));
        words
    }
}

fn control_name(control: Control) -> &'static str {
    match control {
        Control::SndNke => "SND_NKE",
        Control::ReqUd1 { .. } => "REQ_UD1",
        Control::ReqUd2 { .. } => "REQ_UD2",
        Control::SndUd { .. } => "SND_UD",
        Control::RspUd { .. } => "RSP_UD",
        Control::Unknown(_) => "unknown",
    }
}

/// One line's answer.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'static str>,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Wrong<'a>>,
    protocol: &'static str,
    #[serde(flatten)]
    frame: FrameView,
    /// How a telegram that can be encrypted was protected.
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<&'a Security>,
    /// Who sent a telegram that can't be decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    /// More records follow in the meter's next telegram.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    #[serde(flatten)]
    record: Option<RecordView<'a>>,
    #[serde(flatten)]
    bare: Option<Bare<'a>>,
    /// What a DLMS APDU says.
    #[serde(skip_serializing_if = "Option::is_none")]
    apdu: Option<&'a Said>,
    /// What each byte is.
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Vec<AnnotationView<'a>>>,
    /// What each byte of the APDU is that was joined or deciphered.
    #[serde(skip_serializing_if = "Option::is_none")]
    clear: Option<Vec<AnnotationView<'a>>>,
    /// What else the line holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Self>,
}

/// What the link layer says. All absent when there is no frame.
#[derive(Default, Serialize)]
pub(super) struct FrameView {
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ci: Option<u8>,
    /// Of a radio frame: `A`, `B`, or `stripped` of its CRCs.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    /// Who sends, by the address or port of DLMS.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Whom it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
}

/// A frame without values: the fields of a record, empty.
#[derive(Serialize)]
pub(super) struct Bare<'a> {
    meter: Option<()>,
    meter_time: Option<()>,
    status: Vec<Cow<'a, str>>,
    records: [(); 0],
}

/// Why a line could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Wrong<'a> {
    pub(super) kind: &'static str,
    pub(super) message: Cow<'a, str>,
    /// In the telegram's bytes; for kind `hex` the column in the line, from 0.
    pub(super) offset: usize,
}

impl Wrong<'static> {
    pub(super) fn new(kind: &'static str, message: impl Into<Cow<'static, str>>, offset: usize) -> Self {
        Self { kind, message: message.into(), offset }
    }
}
