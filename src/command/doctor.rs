//! `holdfast doctor`: tries on a bucket, and on this machine, what a mount will need, and says what to do about the rest.
//!
//! It writes probes under `.holdfast-probe-…` and removes them, unless told not to write. Nothing else is changed without
//! `--fix`.

mod bucket;
mod local;
mod report;
mod uploads;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::command::folders;
use crate::command::logging::{self, LogLevel};
use crate::command::mount::options::{ProtectionArgs, S3Args, notes_and_journals, parse_source};
use crate::command::mount::running::{self, Failure};
use crate::real::{S3Options, S3Store};
use crate::units::parse_bytes;
use report::{Finding, Report};

/// Check a bucket and this machine for what a mount needs: rights, preconditions, versions, clocks, disks, orphaned uploads
#[derive(Args, Debug)]
#[command(after_help = "Exit status: 0: all is well. 1: there are warnings. 2: something failed.")]
pub struct DoctorArgs {
    /// What would be mounted: s3://BUCKET or s3://BUCKET/PREFIX
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// Abort uploads that mounts from this machine have left, and forget their notes
    #[arg(long, conflicts_with = "read_only")]
    pub fix: bool,
    /// Try nothing that writes
    #[arg(long)]
    pub read_only: bool,
    /// As the mount's [default: holdfast in the user's cache directory]
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// As the mount's [default: holdfast/recovery in the state directory]
    #[arg(long, value_name = "DIR")]
    pub recovery_dir: Option<PathBuf>,
    /// As the mount's
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_bytes)]
    pub hold_max: u64,
    #[command(flatten)]
    pub s3: S3Args,
    #[command(flatten)]
    pub protection: ProtectionArgs,
}

pub fn run(args: DoctorArgs) -> ExitCode {
    logging::start(LogLevel::Error);
    let mut report = Report::default();
    match examine(args, &mut report) {
        Ok(()) => report.exit_code(),
        Err(failure) => {
            eprintln!("holdfast doctor: {failure}");
            ExitCode::from(report::FAILED)
        }
    }
}

/// An error is a question that makes no sense; what is wrong with the bucket or the machine is in the report.
fn examine(args: DoctorArgs, report: &mut Report) -> Result<(), Failure> {
    let (bucket, mut prefix) = parse_source(&args.source)?;
    if !prefix.is_empty() && !prefix.ends_with('/') {
        prefix.push('/');
    }
    let protection = args.protection.protection()?;
    let options = S3Options { protection, ..args.s3.options(bucket, prefix.clone()) };
    let (notes, journals) = notes_and_journals(&options);
    let runtime = running::runtime()?;
    local::look(
        report,
        &args.cache_dir.unwrap_or_else(folders::cache),
        args.hold_max,
        &args.recovery_dir.unwrap_or_else(folders::recovery),
        &journals,
    );
    runtime.block_on(async {
        let store = match S3Store::connect(options, runtime.handle().clone()).await {
            Ok(store) => store,
            Err(error) => {
                report.add(Finding::fail(
                    "the bucket",
                    error.to_string(),
                    "put that right first; the rest was not tried",
                ));
                return;
            }
        };
        let region = store.region();
        report.add(Finding::ok("the bucket", format!("the credentials may list it; requests are signed for {region}")));
        if args.read_only {
            report.add(Finding::ok("writing", "was not tried".to_string()));
        } else {
            bucket::try_all(report, &store, &prefix).await;
        }
        uploads::look(report, &store, &prefix, &notes, args.fix).await;
    });
    // A request that hangs keeps nobody.
    runtime.shutdown_background();
    Ok(())
}
