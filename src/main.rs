//! The program `operator-run`: see [`operator_run::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    operator_run::cli::main()
}
