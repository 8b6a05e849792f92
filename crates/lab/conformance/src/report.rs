use std::fmt;

/// What was run of a vector file. That there is a report means that every case run agrees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Name of the file.
    pub file: String,
    /// One entry per known section, in the order of the file.
    pub sections: Vec<SectionReport>,
    /// Sections that nothing here knows. They were not run.
    pub unknown: Vec<String>,
}

/// What was run of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionReport {
    /// Its name in the file.
    pub name: String,
    /// Cases run, all of which agree.
    pub cases: usize,
    /// Cases, or second values of cases, that were not run.
    pub skipped: usize,
    /// Why, if any were.
    pub skip_reason: Option<&'static str>,
}

impl Report {
    /// Cases run in all sections.
    #[must_use]
    pub fn cases(&self) -> usize {
        self.sections.iter().map(|section| section.cases).sum()
    }

    /// Cases not run in all known sections.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.sections.iter().map(|section| section.skipped).sum()
    }
}

/// One line per section, for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} cases agree", self.file, self.cases())?;
        for SectionReport { name, cases, skipped, skip_reason } in &self.sections {
            write!(f, "  {name}: {cases}")?;
            if let (1.., Some(reason)) = (skipped, skip_reason) {
                write!(f, ", {skipped} skipped ({reason})")?;
            }
            writeln!(f)?;
        }
        for name in &self.unknown {
            writeln!(f, "  {name}: unknown section, not run")?;
        }
        Ok(())
    }
}
