//! `bq config init | check | explain`.

use bq_runtime::{Layers, default_file, load};

use crate::{
    cli::ConfigCommand,
    exit::{UsageError, say},
    run::{check_named_files, layers},
};

pub(crate) fn config(command: ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Init { network } => say(&default_file(network)),
        ConfigCommand::Check { file } => {
            let loaded = load(&Layers { file: Some(file), ..Layers::default() });
            check_named_files(&loaded.map_err(|error| UsageError(error.to_string()))?.config)?;
            say("configuration is valid");
        }
        ConfigCommand::Explain(args) => {
            let loaded = load(&layers(&args)).map_err(|error| UsageError(error.to_string()))?;
            for line in loaded.explained {
                say(&format!("{:<40} {:<28} {}", line.field, line.value, line.from));
            }
        }
    }
    Ok(())
}
