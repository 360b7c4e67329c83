//! SunSpec devices: models lie one after the other, and where each begins has to be found
//! (SunSpec Device Information Model Specification §6).

use thiserror::Error;

use crate::{Block, Chain, Image, RegisterMap, Table};

/// The most models of a device that are walked over.
pub const MODELS_MAX: usize = 64;
/// `SunS`.
const MARKER: [u16; 2] = [0x5375, 0x6E53];
/// The model that ends the chain.
const END: u16 = 0xFFFF;

/// A model of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its number, as 203.
    pub id: u16,
    /// The address of its first register, which holds the number.
    pub address: u16,
    /// Its registers, without number and length.
    pub words: u16,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read this.
    Read(Block),
    /// The chain is walked to its end.
    Done(Vec<Model>),
}

/// A device is none of the map's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WalkError {
    /// There is no marker.
    #[error("no SunSpec device: \"SunS\" is at none of {0}")]
    NoMarker(String),
    /// It does not end, or its models lie beyond the last address.
    #[error("the SunSpec device's chain of models has no end")]
    Endless,
    /// A model is missing, or too short.
    #[error("the SunSpec device has no model {0} as the map needs it")]
    NoModel(u16),
}

/// Walks over the models of a device. Sans-I/O: [`step`](Self::step) says what to read, and
/// [`answered`](Self::answered) takes it.
#[derive(Clone, Debug)]
pub struct Walk {
    bases: Vec<u16>,
    base_at: usize,
    next: Option<u16>,
    found: Vec<Model>,
    ended: bool,
}

impl Walk {
    /// From the first base.
    #[must_use]
    pub fn new(chain: &Chain) -> Self {
        Self { bases: chain.bases.clone(), base_at: 0, next: None, found: Vec::new(), ended: false }
    }

    /// What to do next.
    ///
    /// # Errors
    /// [`WalkError`]: this device can't be read so.
    pub fn step(&self) -> Result<Step, WalkError> {
        if self.ended {
            return Ok(Step::Done(self.found.clone()));
        }
        if self.found.len() >= MODELS_MAX {
            return Err(WalkError::Endless);
        }
        let address = match (self.next, self.bases.get(self.base_at)) {
            (Some(address), _) => address,
            (None, Some(base)) => *base,
            (None, None) => {
                let bases: Vec<String> = self.bases.iter().map(u16::to_string).collect();
                return Err(WalkError::NoMarker(bases.join(", ")));
            }
        };
        Ok(Step::Read(Block { table: Table::Holding, address, words: 2 }))
    }

    /// Takes an answer; `None` where the device refuses the question.
    ///
    /// # Errors
    /// [`WalkError::Endless`].
    pub fn answered(&mut self, words: Option<&[u16]>) -> Result<(), WalkError> {
        match (self.next, words) {
            (None, Some(words)) if words == MARKER => {
                let base = self.bases.get(self.base_at).copied().unwrap_or_default();
                self.next = Some(base.checked_add(2).ok_or(WalkError::Endless)?);
            }
            (None, _) => self.base_at += 1,
            (Some(_), Some([END, ..])) => self.ended = true,
            (Some(address), Some(&[id, words])) => {
                self.found.push(Model { id, address, words });
                let end = u32::from(address) + u32::from(words) + 2;
                self.next = Some(u16::try_from(end).map_err(|_| WalkError::Endless)?);
            }
            (Some(_), _) => return Err(WalkError::Endless),
        }
        Ok(())
    }

    /// Walks over registers that are there already.
    ///
    /// # Errors
    /// [`WalkError`].
    pub fn over(chain: &Chain, image: &Image) -> Result<Vec<Model>, WalkError> {
        let mut walk = Self::new(chain);
        loop {
            match walk.step()? {
                Step::Done(models) => return Ok(models),
                Step::Read(block) => {
                    walk.answered(image.get(block.table, block.address, block.words).as_deref())?;
                }
            }
        }
    }
}

impl RegisterMap {
    /// The map with the addresses of one device.
    ///
    /// # Errors
    /// [`WalkError::NoModel`].
    pub fn located(&self, models: &[Model]) -> Result<Self, WalkError> {
        let mut map = self.clone();
        for (span, scale_at) in map.spans_mut() {
            let Some(wanted) = span.sunspec_model else { continue };
            let missing = || WalkError::NoModel(wanted);
            let model = models.iter().find(|model| model.id == wanted).ok_or_else(missing)?;
            let place = |offset: u16| {
                let whole = model.words.saturating_add(2);
                model.address.checked_add(offset).filter(|_| offset < whole).ok_or_else(missing)
            };
            place(span.address.saturating_add(span.words.saturating_sub(1)))?;
            span.address = place(span.address)?;
            if let Some(scale) = scale_at {
                *scale = place(*scale)?;
            }
        }
        Ok(map)
    }
}
