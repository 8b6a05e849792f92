use std::io::Read;

use serde_json::{Map, Value};

use crate::{
    ConformanceError, Mismatch, Place, Report, SectionReport,
    case::{Case, Fault, Outcome},
    sections,
    tables::Tables,
};

/// The largest shared file has a quarter of a megabyte.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Reads a vector file to its end and runs every case in it; `name` is for messages.
///
/// # Errors
/// The file cannot be read, is malformed, holds nothing known, or does not agree: [`ConformanceError`] names the place.
pub fn run_reader(name: &str, file: impl Read) -> Result<Report, ConformanceError> {
    let mut bytes = Vec::new();
    // One byte more than allowed, so that a file that is too long shows.
    file.take(FILE_BYTES_MAX.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| ConformanceError::Read { file: name.to_owned(), source })?;
    run_bytes(name, &bytes)
}

/// Runs every case of a vector file that is in memory; `name` is for messages.
///
/// ```
/// use bq_conformance::{ConformanceError, run_bytes};
///
/// let vectors = r#"{ "decode": [{ "bits": "1d00ffff", "valid_for_pow": true, "reencode": "1d00ffff" }] }"#;
/// assert_eq!(run_bytes("mine.json", vectors.as_bytes())?.cases(), 1);
///
/// // An implementation that takes a negative target would not conform.
/// let vectors = r#"{ "decode": [{ "bits": "04923456", "valid_for_pow": true }] }"#;
/// let error = run_bytes("mine.json", vectors.as_bytes()).unwrap_err();
/// assert!(matches!(error, ConformanceError::Mismatch { .. }), "{error}");
/// # Ok::<(), ConformanceError>(())
/// ```
///
/// # Errors
/// As [`run_reader`], less reading.
pub fn run_bytes(name: &str, bytes: &[u8]) -> Result<Report, ConformanceError> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > FILE_BYTES_MAX {
        return Err(ConformanceError::TooLarge { file: name.to_owned(), bytes: length, max: FILE_BYTES_MAX });
    }
    let mut run = Run::new(name);
    match bytes.trim_ascii_start().first() {
        Some(b'#') => sections::asert::run_lines(&mut run, bytes)?,
        Some(b'{') => {
            let fields = serde_json::from_slice(bytes).map_err(|error| run.file_error(&error))?;
            sections::run_all(&mut run, &fields)?;
        }
        _ => return Err(run.file_error(&"neither a JSON object nor an ASERT run file")),
    }
    run.finish()
}

/// A run in progress over one file.
pub(crate) struct Run {
    report: Report,
    pub(crate) tables: Tables,
}

impl Run {
    fn new(name: &str) -> Self {
        Self { report: Report { file: name.to_owned(), ..Report::default() }, tables: Tables::default() }
    }

    fn finish(self) -> Result<Report, ConformanceError> {
        let report = self.report;
        if report.sections.iter().all(|section| section.cases == 0 && section.skipped == 0) {
            let known = report.sections.into_iter().map(|section| section.name);
            return Err(ConformanceError::NothingKnown {
                file: report.file,
                found: known.chain(report.unknown).collect(),
            });
        }
        Ok(report)
    }

    /// Runs a list of cases of one form.
    pub(crate) fn list<C: Case>(&mut self, section: &str, value: &Value) -> Result<(), ConformanceError> {
        let mut progress = Progress::new(section);
        for (index, value) in self.items(section, value)?.iter().enumerate() {
            let case: C = self.decode(section, index, value)?;
            let outcome = case.check(&mut self.tables);
            progress.add(self.agreed(section, index, outcome)?);
        }
        self.add(progress);
        Ok(())
    }

    /// Runs a section that is one case.
    pub(crate) fn single<C: Case>(&mut self, section: &str, value: &Value) -> Result<(), ConformanceError> {
        let case: C = self.decode(section, 0, value)?;
        let mut progress = Progress::new(section);
        let outcome = case.check(&mut self.tables);
        progress.add(self.agreed(section, 0, outcome)?);
        self.add(progress);
        Ok(())
    }

    /// Notes a section that is understood and not run.
    pub(crate) fn skip(&mut self, section: &str, cases: usize, reason: &'static str) {
        let name = section.to_owned();
        self.report.sections.push(SectionReport { name, cases: 0, skipped: cases, skip_reason: Some(reason) });
    }

    /// Notes a section that is not understood.
    pub(crate) fn unknown(&mut self, section: &str) {
        self.report.unknown.push(section.to_owned());
    }

    pub(crate) fn add(&mut self, progress: Progress) {
        self.report.sections.push(progress.0);
    }

    /// The elements of a section that must be a list.
    pub(crate) fn items<'a>(&self, section: &str, value: &'a Value) -> Result<&'a [Value], ConformanceError> {
        value.as_array().map(Vec::as_slice).ok_or_else(|| self.malformed(section, 0, &"the section is not a list"))
    }

    /// A case from its JSON form.
    pub(crate) fn decode<T: serde::de::DeserializeOwned>(
        &self,
        section: &str,
        index: usize,
        value: &Value,
    ) -> Result<T, ConformanceError> {
        T::deserialize(value).map_err(|error| self.malformed(section, index, &error))
    }

    /// Places a fault in the file.
    pub(crate) fn agreed<T>(
        &self,
        section: &str,
        index: usize,
        outcome: Result<T, Fault>,
    ) -> Result<T, ConformanceError> {
        let place = self.place(section, index);
        outcome.map_err(|fault| match fault {
            Fault::Mismatch { what, got, expected } => {
                ConformanceError::Mismatch(Box::new(Mismatch { place, what, got, expected }))
            }
            Fault::Malformed(what) => ConformanceError::Malformed { place, what },
            Fault::Machine(error) => ConformanceError::Machine { place, what: error.to_string() },
        })
    }

    fn place(&self, section: &str, index: usize) -> Place {
        Place { file: self.report.file.clone(), section: section.to_owned(), index }
    }

    pub(crate) fn malformed(&self, section: &str, index: usize, what: &dyn std::fmt::Display) -> ConformanceError {
        ConformanceError::Malformed { place: self.place(section, index), what: what.to_string() }
    }

    pub(crate) fn file_error(&self, what: &dyn std::fmt::Display) -> ConformanceError {
        ConformanceError::File { file: self.report.file.clone(), what: what.to_string() }
    }
}

/// Counts the cases of one section.
pub(crate) struct Progress(SectionReport);

impl Progress {
    pub(crate) fn new(section: &str) -> Self {
        Self(SectionReport { name: section.to_owned(), cases: 0, skipped: 0, skip_reason: None })
    }

    pub(crate) const fn add(&mut self, outcome: Outcome) {
        let Self(report) = self;
        match outcome {
            Outcome::Ran => report.cases = report.cases.saturating_add(1),
            Outcome::RanInPart(reason) => {
                report.cases = report.cases.saturating_add(1);
                report.skipped = report.skipped.saturating_add(1);
                report.skip_reason = Some(reason);
            }
            Outcome::Skipped(reason) => {
                report.skipped = report.skipped.saturating_add(1);
                report.skip_reason = Some(reason);
            }
        }
    }
}

/// The fields of a JSON vector file.
pub(crate) type Fields = Map<String, Value>;
