//! How an association is opened: the request, the meter's answer, and where secrets are shown, both proofs.

use super::super::config::{Association, Proof};
use super::super::conversation::{Answer, Conversation, Request};
use super::super::failure::ClientFailure;
use super::{ASSOCIATION_CLASS, Client, ClientEvent, NO_KEYS, REPLY_TO_HLS, State, in_clear};
use crate::apdu::{
    Aare, Aarq, ActionResult, Apdu, AssociateResult, AuthenticationValue, Ciphered, ContextName, InitiateRequest,
    Mechanism, MethodDescriptor,
};
use crate::axdr::Value;
use crate::security::signing::proof_text;
use crate::security::{SecurityContext, SecurityError, SystemTitle, hls};
use alloc::boxed::Box;
use alloc::vec::Vec;

impl<C: Conversation> Client<C> {
    pub(super) fn ask_association(&mut self) -> Result<(), ClientFailure> {
        let mechanism = self.config.mechanism();
        let mut initiate = InitiateRequest::new(self.config.conformance, self.config.max_pdu_bytes);
        let mut challenge = None;
        if let Proof::Password(password) = &self.config.proof {
            challenge = Some(AuthenticationValue::Text(password.to_vec()));
        } else if mechanism.is_high() {
            if !(hls::CHALLENGE_BYTES_MIN..=hls::CHALLENGE_BYTES_MAX).contains(&self.config.challenge.len()) {
                return Err(ClientFailure::Config("a challenge has 8 to 64 bytes"));
            }
            challenge = Some(AuthenticationValue::Text(self.config.challenge.clone()));
        }
        let mut bytes = None;
        if self.config.ciphered {
            initiate.dedicated_key = self.config.dedicated.as_ref().map(|key| key.bytes().to_vec());
            let security = self.config.security.as_mut().ok_or(NO_KEYS)?;
            bytes = Some(security.protect(&Apdu::InitiateRequest(initiate.clone()).emit())?);
        }
        let initiate = bytes.unwrap_or_else(|| Apdu::InitiateRequest(initiate).emit());
        let named = self.config.ciphered || mechanism >= Mechanism::GMAC;
        let title = self.config.security.as_ref().filter(|_| named).map(|security| security.title().0.to_vec());
        let aarq = Aarq {
            context: match self.config.ciphered {
                true => ContextName::LOGICAL_NAMES_CIPHERED,
                false => ContextName::LOGICAL_NAMES,
            },
            title,
            user: None,
            mechanism: Some(mechanism).filter(|mechanism| *mechanism != Mechanism::LOWEST),
            authentication: challenge,
            initiate,
            other: Vec::new(),
        };
        self.link.send(Apdu::Aarq(Box::new(aarq)).emit())?;
        self.state = State::Aare;
        Ok(())
    }

    pub(super) fn take_aare(&mut self, aare: &Aare) -> Result<(), ClientFailure> {
        if let Some(title) = aare.title.as_deref().and_then(SystemTitle::from_slice)
            && let Some(security) = &mut self.config.security
        {
            security.set_meter(title);
        }
        if aare.result != AssociateResult(0) {
            if let Ok(Apdu::ConfirmedServiceError(error)) = Apdu::parse(&aare.initiate) {
                return Err(ClientFailure::Initiation(error));
            }
            return Err(ClientFailure::Refused {
                diagnostic: aare.diagnostic,
                passing: aare.result == AssociateResult(2),
                password: matches!(self.config.proof, Proof::Password(_) | Proof::None),
            });
        }
        let initiate = match (self.config.ciphered, self.config.security.as_mut()) {
            (true, Some(security)) => {
                if !aare.initiate.first().is_some_and(|tag| Ciphered::is_ciphered(*tag)) {
                    return Err(in_clear());
                }
                security.open(&aare.initiate)?.apdu
            }
            _ => aare.initiate.clone(),
        };
        match Apdu::parse(&initiate)? {
            Apdu::InitiateResponse(granted) => {
                let (conformance, max_pdu_bytes) = (granted.conformance, granted.max_pdu_bytes);
                self.association = Association { conformance, max_pdu_bytes };
            }
            Apdu::ConfirmedServiceError(error) => return Err(ClientFailure::Initiation(error)),
            other => return Err(ClientFailure::Unexpected { got: other.name(), expected: "an initiateResponse" }),
        }
        if let (true, Some(security), Some(key)) =
            (self.config.ciphered, self.config.security.as_mut(), self.config.dedicated.take())
        {
            security.set_dedicated(key);
        }
        if !self.config.mechanism().is_high() {
            return self.associated();
        }
        let challenge = aare.authentication.as_ref().map(AuthenticationValue::bytes).unwrap_or_default().to_vec();
        // Who gives our own challenge back wants us to prove to ourselves.
        if challenge.len() < hls::CHALLENGE_BYTES_MIN || challenge == self.config.challenge {
            return Err(ClientFailure::MeterNotProven);
        }
        self.prove(&challenge)
    }

    /// The third pass: shows the secret by the meter's challenge. The meter's challenge takes the place of the
    /// password until its own proof came.
    fn prove(&mut self, challenge: &[u8]) -> Result<(), ClientFailure> {
        let own = self.config.challenge.clone();
        let proof = match &self.config.proof {
            Proof::Hash(Mechanism::MD5, secret) => hls::md5(challenge, secret),
            Proof::Hash(Mechanism::SHA1, secret) => hls::sha1(challenge, secret),
            Proof::Hash(Mechanism::SHA256, secret) => {
                let (title, meter) = titles(self.config.security.as_ref())?;
                hls::sha256(secret, title, meter, challenge, &own)
            }
            Proof::Gmac => {
                let security = self.config.security.as_mut().ok_or(NO_KEYS)?;
                let (counter, keys) = (security.take_counter()?, security.keys());
                let (suite, title) = (security.suite(), security.title());
                hls::gmac(suite, &keys.encryption, keys.authentication.as_ref(), title, counter, challenge)?
            }
            Proof::Ecdsa(keys) => {
                let (title, meter) = titles(self.config.security.as_ref())?;
                keys.0.sign(&proof_text(title, meter, challenge, &own))
            }
            _ => return Err(ClientFailure::Config("this way of authentication is the manufacturer's own")),
        };
        // The proof of the meter is over both challenges.
        self.blocks = None;
        self.expected_proof(challenge)?;
        let method = MethodDescriptor::new(ASSOCIATION_CLASS, self.config.object, REPLY_TO_HLS);
        self.state = State::MeterProof;
        self.begin(Request::Action(method, Some(Value::OctetString(proof))))
    }

    /// What the meter must answer where that can be computed before; the challenge else. Takes the challenge's place.
    fn expected_proof(&mut self, challenge: &[u8]) -> Result<(), ClientFailure> {
        let own = self.config.challenge.clone();
        self.config.challenge = match &self.config.proof {
            Proof::Hash(Mechanism::MD5, secret) => hls::md5(&own, secret),
            Proof::Hash(Mechanism::SHA1, secret) => hls::sha1(&own, secret),
            Proof::Hash(Mechanism::SHA256, secret) => {
                let (title, meter) = titles(self.config.security.as_ref())?;
                hls::sha256(secret, meter, title, &own, challenge)
            }
            Proof::Ecdsa(_) => {
                let (title, meter) = titles(self.config.security.as_ref())?;
                proof_text(meter, title, &own, challenge)
            }
            _ => own,
        };
        Ok(())
    }

    /// The fourth pass: the meter shows the secret by our challenge.
    pub(super) fn take_proof(&mut self, answer: Answer) -> Result<(), ClientFailure> {
        let Answer::Action(ActionResult::SUCCESS, Some(Ok(Value::OctetString(proof)))) = answer else {
            return Err(match answer {
                // Without a word of its own, a meter that says yes has proved nothing.
                Answer::Action(ActionResult::SUCCESS, _) => ClientFailure::MeterNotProven,
                _ => ClientFailure::ProofRefused,
            });
        };
        let good = match &self.config.proof {
            Proof::Gmac => {
                let security = self.config.security.as_ref().ok_or(NO_KEYS)?;
                let (keys, meter) = (security.keys(), security.meter().ok_or(SecurityError::TitleMissing)?);
                let (key, authentication) = (&keys.encryption, keys.authentication.as_ref());
                hls::check_gmac(security.suite(), key, authentication, meter, &proof, &self.config.challenge).is_ok()
            }
            Proof::Ecdsa(keys) => keys.1.verify(&self.config.challenge, &proof).is_ok(),
            _ => hls::is_same(&self.config.challenge, &proof),
        };
        if good { self.associated() } else { Err(ClientFailure::MeterNotProven) }
    }

    fn associated(&mut self) -> Result<(), ClientFailure> {
        self.events.push_back(ClientEvent::Associated(self.association));
        self.conversation.associated(self.config.ciphered);
        self.ask_next()
    }
}

/// The client's and the meter's title.
fn titles(security: Option<&SecurityContext>) -> Result<(SystemTitle, SystemTitle), ClientFailure> {
    let security = security.ok_or(ClientFailure::Config("this way of authentication needs a system title"))?;
    Ok((security.title(), security.meter().ok_or(SecurityError::TitleMissing)?))
}
