//! `holdfast serve`: an S3 endpoint in memory.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::bucket::{BucketOptions, DigestKind, Versioning};
use crate::server::{ServeOptions, Server};
use crate::units::{parse_duration, parse_rate};

/// Serve buckets from memory over the S3 protocol, for trials, tests and benchmarks. All is lost at the end.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    pub listen: SocketAddr,
    /// A bucket to create; may be repeated
    #[arg(long, value_name = "NAME", default_value = "holdfast")]
    pub bucket: Vec<String>,
    /// Create buckets with versions switched on
    #[arg(long)]
    pub versioning: bool,
    /// Make the files of this directory objects of the first bucket
    #[arg(long, value_name = "DIR")]
    pub import: Option<PathBuf>,
    /// Access key that clients must use
    #[arg(long, value_name = "KEY", default_value = "holdfast", requires = "secret_key")]
    pub access_key: String,
    /// Secret key that clients must use
    #[arg(long, value_name = "SECRET", default_value = "holdfast-secret", requires = "access_key")]
    pub secret_key: String,
    /// Answer unsigned requests too
    #[arg(long)]
    pub anonymous: bool,
    /// Delay before each answer's first byte, e.g. 15ms
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = parse_duration)]
    pub latency: Duration,
    /// Most that one connection sends, e.g. 90MB/s
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub bandwidth_per_connection: Option<u64>,
    /// Silently ignore If-Match and If-None-Match on writes, as some stores do
    #[arg(long)]
    pub no_preconditions: bool,
    /// Compute ETags by a hash much cheaper than MD5, so that uploads measure the client
    #[arg(long)]
    pub quick_etags: bool,
}

impl ServeArgs {
    fn options(self) -> ServeOptions {
        ServeOptions {
            listen: self.listen,
            buckets: self.bucket,
            bucket_options: BucketOptions {
                versioning: if self.versioning { Versioning::Enabled } else { Versioning::Off },
                preconditions_ignored: self.no_preconditions,
                digest: if self.quick_etags { DigestKind::Quick } else { DigestKind::Md5 },
                ..BucketOptions::default()
            },
            access_key: self.access_key,
            secret_key: self.secret_key,
            anonymous: self.anonymous,
            latency: self.latency,
            bandwidth_per_connection: self.bandwidth_per_connection,
            import: self.import,
            ..ServeOptions::default()
        }
    }
}

/// Serves until SIGINT or SIGTERM.
pub fn run(args: ServeArgs) -> ExitCode {
    match serve(args.options()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holdfast serve: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: ServeOptions) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut server = Server::start(options)?;
    print!("{}", greeting(&server));
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        io::Result::Ok(())
    })?;
    server.stop();
    Ok(())
}

/// How to reach the server, ready to be pasted into a shell. The keys are the server's own and open nothing else.
fn greeting(server: &Server) -> String {
    let options = server.options();
    let (url, region) = (server.url(), &options.region);
    let (access_key, secret_key) = (&options.access_key, &options.secret_key);
    let bucket = options.buckets.first().map_or("", String::as_str);
    format!(
        "Serving S3 at {url}, buckets: {buckets}\n\
         \n\
         export AWS_ENDPOINT_URL={url} AWS_REGION={region}\n\
         export AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret_key}\n\
         \n\
         aws s3 ls s3://{bucket}\n\
         curl {url}/-/stats\n",
        buckets = options.buckets.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{ServeArgs, greeting};
    use crate::bucket::Versioning;
    use crate::server::Server;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn parse(words: &str) -> Result<ServeArgs, clap::Error> {
        Cli::try_parse_from(["serve"].into_iter().chain(words.split_whitespace())).map(|cli| cli.serve)
    }

    #[test]
    fn options_say_what_the_arguments_say() {
        let options = parse("--bucket one --bucket two --versioning --latency 15ms --bandwidth-per-connection 90MB/s")
            .expect("arguments")
            .options();
        assert_eq!(options.buckets, ["one", "two"]);
        assert_eq!(options.bucket_options.versioning, Versioning::Enabled);
        assert_eq!(options.latency.as_millis(), 15);
        assert_eq!(options.bandwidth_per_connection, Some(90_000_000));
        assert!(parse("--latency soon").is_err());
        assert!(parse("--access-key mine").is_err(), "a key without its secret");
    }

    #[test]
    fn the_greeting_says_how_to_reach_the_server() {
        let server = Server::start(parse("--listen 127.0.0.1:0").expect("arguments").options()).expect("a server");
        let greeting = greeting(&server);
        assert!(greeting.contains(&format!("AWS_ENDPOINT_URL={}", server.url())), "{greeting}");
        assert!(greeting.contains("AWS_SECRET_ACCESS_KEY=holdfast-secret"), "{greeting}");
    }
}
