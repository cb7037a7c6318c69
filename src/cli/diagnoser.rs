//! The options that say who writes the diagnosis, and how.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::exit::{Exit, Refusal};
use crate::diagnosis::ask_claude::{AskClaude, Budget};
use crate::diagnosis::cassette::{Purpose, Recorder, Shelf};
use crate::diagnosis::claude::{Config, DEFAULT_MAX_TOKENS, Effort, Failure};
use crate::diagnosis::judge::{DEFAULT_JUDGE, Judge, OTHER_JUDGE};
use crate::diagnosis::replay::Replay;
use crate::diagnosis::rules::Rules;
use crate::diagnosis::{Diagnoser, DiagnoserError};
use crate::subject::Subject;

#[derive(Debug, Args)]
pub(super) struct DiagnoserArgs {
    /// Who writes the diagnosis [default: claude with a key, else rules]
    #[arg(long, value_enum)]
    diagnoser: Option<DiagnoserName>,

    /// The model that is asked, or whose recorded answers are used [default: `ANTHROPIC_MODEL`, else claude-opus-5-5]
    #[arg(long)]
    model: Option<String>,

    /// How much the model thinks [default: the model's own]
    #[arg(long, value_enum)]
    effort: Option<Effort>,

    /// How many tokens an answer may have, thinking included, from 1 to 21333 [default: 16000]
    #[arg(long, value_name = "TOKENS")]
    max_tokens: Option<u32>,

    /// The model that judges what checks with `judge` state [default: claude-haiku-5-5, or another than the author]
    #[arg(long, value_name = "MODEL")]
    judge_model: Option<String>,

    /// Stops before the call that could make all calls together cost more.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    max_cost: Option<f64>,

    /// Keeps each call to the model as a cassette.
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,

    /// Where the cassettes lie that `--diagnoser replay` answers from.
    #[arg(long, value_name = "FOLDER")]
    cassettes: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DiagnoserName {
    /// Claude, by the Messages API.
    Claude,
    /// The answers that a model has given before.
    Replay,
    /// The built-in baseline.
    Rules,
}

fn dollars(text: &str) -> Result<f64, String> {
    let amount: f64 = text.parse().map_err(|_| "it must be an amount such as 0.50".to_owned())?;
    if amount.is_finite() && amount >= 0.0 { Ok(amount) } else { Err("it must be 0 or more".to_owned()) }
}

/// Makes the diagnosers and judges of an invocation: one for each scenario, all on one budget.
pub(super) struct Diagnosers<'a> {
    arguments: &'a DiagnoserArgs,
    who: Who,
    /// How the judge is asked; the baseline has one only if its model is named.
    judge: Option<Box<Config>>,
    budget: Option<Arc<Budget>>,
}

enum Who {
    Claude(Box<Config>),
    Replay(PathBuf),
    Rules(&'static str),
}

impl<'a> Diagnosers<'a> {
    /// Reads the options and the environment. An option that would do nothing is refused.
    pub(super) fn new(
        arguments: &'a DiagnoserArgs,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Refusal> {
        let environment = |error: &dyn std::fmt::Display| Refusal(Exit::Environment, error.to_string());
        let who = match arguments.diagnoser {
            Some(DiagnoserName::Rules) => Who::Rules("as asked by --diagnoser"),
            Some(DiagnoserName::Replay) => {
                let usage = "--diagnoser replay needs the folder of the cassettes: name it by --cassettes";
                Who::Replay(arguments.cassettes.clone().ok_or_else(|| Refusal(Exit::Usage, usage.to_owned()))?)
            }
            asked => match Config::from_env(&variable) {
                Err(error) if error.failure == Failure::NoKey && asked.is_none() => Who::Rules("no ANTHROPIC_API_KEY"),
                Err(error) => return Err(environment(&error)),
                Ok(config) => {
                    let model = arguments.model.clone().or_else(|| variable("ANTHROPIC_MODEL"));
                    let config = Config {
                        model: model.filter(|model| !model.trim().is_empty()).unwrap_or(config.model),
                        effort: arguments.effort,
                        max_tokens: arguments.max_tokens.unwrap_or(config.max_tokens),
                        ..config
                    };
                    Who::Claude(Box::new(config))
                }
            },
        };
        let judge = match &who {
            Who::Claude(author) => Some(arguments.judge(author.as_ref().clone())),
            Who::Rules(_) if arguments.judge_model.is_some() => {
                Some(arguments.judge(Config::from_env(&variable).map_err(|error| environment(&error))?))
            }
            Who::Rules(_) | Who::Replay(_) => None,
        };
        arguments.refuse_what_does_nothing(&who, judge.is_some())?;
        let budget = arguments.max_cost.map(|limit| Arc::new(Budget::new(limit)));
        Ok(Self { arguments, who, judge: judge.map(Box::new), budget })
    }

    /// Who judges the statements on what is said of a scenario; nobody without a key.
    pub(super) fn judge_of(&self, scenario: &str) -> Result<Option<Box<dyn Judge>>, Refusal> {
        let refused = |error: &dyn std::fmt::Display| Refusal(Exit::Environment, error.to_string());
        if let Who::Replay(folder) = &self.who {
            let model = self.arguments.judge_model.as_deref();
            let cassettes =
                Shelf::open(folder, scenario, Purpose::Judgement, model).map_err(|error| refused(&error))?;
            return Ok(Some(Box::new(Replay::new(cassettes))));
        }
        let Some(config) = &self.judge else { return Ok(None) };
        let judge = self.claude(config, scenario, Purpose::Judgement).map_err(|error| refused(&error))?;
        Ok(Some(Box::new(judge)))
    }

    fn claude(&self, config: &Config, scenario: &str, purpose: Purpose) -> Result<AskClaude, DiagnoserError> {
        let recorder = |folder: &Path| Recorder::new(folder, scenario, purpose);
        let recorder = self.arguments.record.as_deref().map(recorder).transpose()?;
        AskClaude::new(config.clone(), self.budget.clone(), recorder)
    }

    /// The diagnoser of a scenario, or of what else it is asked about; cassettes lie under that name.
    pub(super) fn of(&self, subject: &'static dyn Subject, scenario: &str) -> Result<Box<dyn Diagnoser>, Refusal> {
        let refused = |error: &dyn std::fmt::Display| Refusal(Exit::Environment, error.to_string());
        match &self.who {
            Who::Rules(why) => Ok(Box::new(Rules::new(subject, why))),
            Who::Replay(folder) => {
                let cassettes = Shelf::open(folder, scenario, Purpose::Diagnosis, self.arguments.model.as_deref());
                Ok(Box::new(Replay::new(cassettes.map_err(|error| refused(&error))?)))
            }
            Who::Claude(config) => {
                let claude = self.claude(config, scenario, Purpose::Diagnosis);
                Ok(Box::new(claude.map_err(|error| refused(&error))?))
            }
        }
    }
}

impl DiagnoserArgs {
    /// How the judge is asked: by the same account as the author, with its own thinking and another model.
    fn judge(&self, author: Config) -> Config {
        let usual = if author.model == DEFAULT_JUDGE { OTHER_JUDGE } else { DEFAULT_JUDGE };
        let model = self.judge_model.clone().unwrap_or_else(|| usual.to_owned());
        Config { model, effort: None, max_tokens: DEFAULT_MAX_TOKENS, ..author }
    }

    fn refuse_what_does_nothing(&self, who: &Who, judged: bool) -> Result<(), Refusal> {
        let (claude, replay) = (matches!(who, Who::Claude(_)), matches!(who, Who::Replay(_)));
        let (asks, answers) = ("--diagnoser claude, and a key", "--diagnoser replay");
        let options = [
            ("--model", self.model.is_some(), claude || replay, asks),
            ("--effort", self.effort.is_some(), claude, asks),
            ("--max-tokens", self.max_tokens.is_some(), claude, asks),
            ("--max-cost", self.max_cost.is_some(), claude || judged, asks),
            ("--record", self.record.is_some(), claude || judged, asks),
            ("--cassettes", self.cassettes.is_some(), replay, answers),
        ];
        match options.into_iter().find(|(_, given, useful, _)| *given && !useful) {
            Some((option, .., needed)) => Err(Refusal(Exit::Usage, format!("{option} needs {needed}"))),
            None => Ok(()),
        }
    }
}
