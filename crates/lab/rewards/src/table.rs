use crate::Section;

/// A section as Markdown.
#[must_use]
pub fn table(section: &Section) -> String {
    let mut text = format!("{}\n\n| {} | |\n", section.title, section.head.join(" | "));
    text.push_str(&"| --- ".repeat(section.head.len() + 1));
    text.push_str("|\n");
    for row in &section.rows {
        let verdict = match row.passed {
            Some(true) => "passed",
            Some(false) => "FAILED",
            None => "",
        };
        text.push_str(&format!("| {} | {verdict} |\n", row.cells.join(" | ")));
    }
    text
}
