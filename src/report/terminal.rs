//! A run on a terminal: lines as things happen, and below them, on a real terminal, what goes on now. Elsewhere plain
//! lines.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::detection;
use super::text::Text;
use crate::reading::Observation;
use crate::run::{Event, RunRecord};

/// How wide lines are where there is no terminal.
const PLAIN_WIDTH: usize = 120;

/// Which of the two streams a person reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error: standard output is for a machine.
    Stderr,
}

/// Draws runs.
pub struct Terminal {
    stream: Stream,
    text: Text,
    screen: MultiProgress,
    bar: Option<ProgressBar>,
    /// The readings that say in a word how a node is.
    headline: &'static [&'static str],
}

impl Terminal {
    /// Draws to a stream; `screen` is what everything else that writes to the terminal goes through.
    #[must_use]
    pub fn new(stream: Stream, screen: &MultiProgress) -> Self {
        let (interactive, colour) = match stream {
            Stream::Stdout => (std::io::stdout().is_terminal(), console::colors_enabled()),
            Stream::Stderr => (std::io::stderr().is_terminal(), console::colors_enabled_stderr()),
        };
        let target = match stream {
            Stream::Stdout => ProgressDrawTarget::stdout(),
            Stream::Stderr => ProgressDrawTarget::stderr(),
        };
        let width = if interactive { console::Term::stdout().size().1.into() } else { PLAIN_WIDTH };
        screen.set_draw_target(if interactive { target } else { ProgressDrawTarget::hidden() });
        let bar = interactive.then(|| {
            let bar = screen.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("  {prefix:10} {spinner} {wide_msg} {elapsed:>6}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { stream, text: Text { colour: interactive && colour, width }, screen: screen.clone(), bar, headline: &[] }
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event) {
        if let Event::Started { headline, .. } = event {
            self.headline = headline;
        }
        match (event, &self.bar) {
            (Event::PhaseBegan { phase }, Some(bar)) => {
                bar.set_prefix(phase.word());
                bar.set_message("");
                bar.reset_elapsed();
            }
            (Event::Observed(observation), Some(bar)) => bar.set_message(summary(observation, self.headline)),
            (Event::Ended(_), Some(bar)) => bar.set_message(""),
            _ => {}
        }
        self.print(&self.text.lines(event));
    }

    /// Shows a line for each run, and how many came to which end.
    pub fn summary(&self, records: &[RunRecord]) {
        let mut lines: Vec<String> = records.iter().map(|record| self.text.verdict(record)).collect();
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for word in records.iter().map(|record| record.verdict.word()) {
            match counts.iter_mut().find(|(known, _)| *known == word) {
                Some((_, count)) => *count += 1,
                None => counts.push((word, 1)),
            }
        }
        let counts: Vec<String> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
        lines.extend(detection::lines(records));
        lines.push(format!("{} scenarios: {}", records.len(), counts.join(", ")));
        self.print(&lines);
    }

    /// Shows lines of a caller.
    pub fn say(&self, lines: &[String]) {
        self.print(lines);
    }

    /// Removes what goes on now from the screen.
    pub fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// A reader that has gone away (a closed pipe) ends the report, not the run: the faults must still be healed.
    fn print(&self, lines: &[String]) {
        self.screen.suspend(|| {
            let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            let _ = match self.stream {
                Stream::Stdout => std::io::stdout().lock().write_all(text.as_bytes()),
                Stream::Stderr => std::io::stderr().lock().write_all(text.as_bytes()),
            };
        });
    }
}

/// How each node is now, in a word.
fn summary(observation: &Observation, headline: &[&str]) -> String {
    let words = observation.readings.iter().filter(|reading| headline.contains(&reading.name.as_str()));
    let words: Vec<String> = words.map(|reading| format!("{} {}", reading.node, reading.value)).collect();
    words.join(", ")
}
