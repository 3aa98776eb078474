//! `holdfast demo`: the story of the video, played through the real kernel.
//!
//! Somebody watches film A from a mounted bucket while somebody else uploads film B over it, or writes it through another
//! mount. The embedded server is the bucket, `holdfast mount` is what is being shown, and every block of a film names the
//! film it belongs to, so what a viewer saw is read from the bytes themselves. Exits 0 only if every promise held.

mod film;
mod stage;
mod stories;

use std::io;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use stage::Stage;
use stories::{STORIES, Seen};

/// Watch a reader finish film A while film B replaces it
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Leave the server and the mounts up afterwards, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
}

/// One line of the closing table.
struct Row {
    bucket: &'static str,
    story: &'static str,
    seen: Result<Seen, io::Error>,
}

pub fn run(args: DemoArgs) -> ExitCode {
    match play(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("holdfast demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(args: &DemoArgs) -> io::Result<bool> {
    println!("Starting an S3 server in memory and mounting two of its buckets, each twice ...");
    let stage = Stage::set_up()?;
    let mut rows = Vec::new();
    for house in stage.houses() {
        println!("\n{}", house.title);
        for story in STORIES {
            println!("  {}", story.title);
            let seen = (story.play)(&house);
            match &seen {
                Ok(seen) => println!("    {}", seen.told()),
                Err(error) => println!("    the story broke off: {error}"),
            }
            rows.push(Row { bucket: house.kind, story: story.title, seen });
        }
    }
    let held = rows.iter().all(|row| row.seen.as_ref().is_ok_and(Seen::held));
    print_table(&rows);
    println!("{}", if held { "\nEvery promise held." } else { "\nA promise was broken." });
    if args.keep {
        keep(&stage)?;
    }
    stage.tear_down()?;
    Ok(held)
}

fn print_table(rows: &[Row]) {
    let width = rows.iter().map(|row| row.story.len()).max().unwrap_or_default();
    println!("\n{:<9}  {:<width$}  {:<50}  verdict", "bucket", "what happened", "what the reader saw");
    for row in rows {
        let (saw, verdict) = match &row.seen {
            Ok(seen) => (seen.told(), if seen.held() { "held" } else { "BROKEN" }),
            Err(error) => (error.to_string(), "BROKEN"),
        };
        println!("{:<9}  {:<width$}  {saw:<50}  {verdict}", row.bucket, row.story);
    }
}

fn keep(stage: &Stage) -> io::Result<()> {
    println!("\n{}", stage.how_to_reach());
    println!("Press Ctrl-C to unmount and stop.");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}
