//! A recording as text: one event a line, in the order of time.
//!
//! ```text
//!       12.345 ms  app 0           op 3 begins: pread #0 64 KiB at 0 B
//!       12.345 ms  mount 0         request 7: GET film 64 KiB at 0 B
//!       17.345 ms  s3 film         v2 (90000 bytes), by mutation 0, because of request 7
//!       27.445 ms  mount 0         request 7: 65536 bytes
//!       27.445 ms  app 0           op 3: read film 64 KiB at 0 B: 64 KiB of v2
//!       27.445 ms  FINDING         single-version: … (op 3)
//! ```
//!
//! Three columns of fixed beginnings: milliseconds since the run began; the lane (`app N`, `mount N`, `client` for who is
//! neither, `s3 KEY`, `s3` for all of it, `log` for what the core says and kernels ask it to change, `run`, `FINDING`); what happened. An event of several lines, such as a report of
//! a deadlock, goes on in lines that begin with 17 spaces and `|`. Operations and mutations have the numbers of the
//! scenario (mutations from 0, in its order), requests the order of their sending. Lines of one instant stand by their sort,
//! causes before what follows from them: changes of the bucket, beginnings, requests, calls, the log, ends, findings.

use holdfast::env::Time;

use super::{Answer, Recording, RequestRecord, words};
use crate::court::Seat;

impl Recording {
    /// See [the module](self).
    pub fn print_trace(&self) -> String {
        let mut lines = Lines::default();
        self.trace_bucket(&mut lines);
        self.trace_ops(&mut lines);
        for (id, request) in self.requests.iter().enumerate() {
            trace_request(&mut lines, id, request);
        }
        self.trace_calls(&mut lines);
        for said in &self.sayings {
            lines.add(said.at, "log", format!("{}: {}", said.level, said.message));
        }
        if let Some(at) = self.calm_at {
            lines.add(at, "run", "the weather is over, every mount is looked at".into());
        }
        for op in self.ops.iter() {
            if let Some(ended) = op.ended {
                lines.add(ended, &application(op.seat), format!("op {} ends", op.id));
            }
        }
        for finding in &self.findings {
            let op = finding.op.map_or(String::new(), |op| format!(" (op {op})"));
            lines.add(finding.at, "FINDING", format!("{}: {}{op}", finding.oracle, finding.message));
        }
        lines.add(self.ended, "run", "ends".into());
        lines.print()
    }

    fn trace_ops(&self, lines: &mut Lines) {
        for op in &self.ops {
            lines.add(op.began, &application(op.seat), format!("op {} begins: {}", op.id, words::call(&op.call)));
        }
    }

    fn trace_calls(&self, lines: &mut Lines) {
        for call in &self.calls {
            let op = call.op.map_or(String::new(), |op| format!("op {op}: "));
            let key = call.key.as_deref().map_or(String::new(), |key| format!(" {key}"));
            let range = call.range.as_ref().map_or(String::new(), |range| format!(" {}", words::span(range)));
            let result = match &call.result {
                Ok(seen) => words::seen(seen),
                Err(errno) => words::errno(*errno),
            };
            lines.add(call.ended, &application(call.seat), format!("{op}{}{key}{range}: {result}", call.call));
        }
    }

    fn trace_bucket(&self, lines: &mut Lines) {
        for mutation in &self.mutations {
            let mut what = match mutation.now {
                None => "deleted".to_owned(),
                Some((version, size)) => format!("{} ({size} bytes)", words::version(Some(version))),
            };
            if let Some(number) = mutation.number {
                what += &format!(", by mutation {number}");
            }
            if let Some(request) = mutation.request {
                what += &format!(", because of request {request}");
            }
            lines.add(mutation.at, &format!("s3 {}", mutation.key), what);
        }
        for outage in &self.outages {
            lines.add(outage.start, "s3", "down".into());
            lines.add(outage.end.min(self.ended), "s3", "up".into());
        }
    }
}

fn trace_request(lines: &mut Lines, id: usize, request: &RequestRecord) {
    let lane = request.mount.map_or("client".to_owned(), |mount| format!("mount {mount}"));
    let mut add = |at: Time, what: String| lines.add(at, &lane, format!("request {id}: {what}"));
    let keys: Vec<&str> = request.asked.keys.iter().map(|key| key.as_str()).collect();
    let mut what = format!("{} {}", words::kind(request.asked.kind), keys.join(" "));
    what += &words::byte_range(request.asked.range);
    for fault in &request.faults {
        what += &format!(", suffers {}", words::fault(fault));
    }
    add(request.sent, what);
    if let Some(at) = request.applied {
        let what = match (request.version, request.listed.len()) {
            (Some(version), _) => format!("applied, gives {}", words::version(Some(version))),
            (None, 0) => "applied".into(),
            (None, _) => format!("applied, gives {}", words::names(&request.listed)),
        };
        add(at, what);
    }
    match request.outcome {
        Answer::Pending => {}
        Answer::GivenUp(at) => add(at, "given up".into()),
        Answer::Came(at, Ok(())) => add(at, "answered".into()),
        Answer::Came(at, Err(kind)) => add(at, format!("failed: {}", words::error(kind))),
    }
    if let Some(body) = &request.body {
        for chunk in &body.chunks {
            add(chunk.at, format!("{} bytes", chunk.bytes));
        }
        if let Some(at) = body.closed {
            add(at, "body closed".into());
        }
    }
}

fn application(seat: Seat) -> String {
    match seat.app {
        u8::MAX => format!("visitor of {}", seat.mount),
        app => format!("app {app}"),
    }
}

/// Lines that are sorted by time; of one time in the order in which they were added.
#[derive(Default)]
struct Lines {
    lines: Vec<(Time, String)>,
}

impl Lines {
    fn add(&mut self, at: Time, lane: &str, what: String) {
        let mut rows = what.lines();
        let first = rows.next().unwrap_or_default();
        let mut line = format!("{:>15}  {lane:<14}  {first}\n", words::time(at));
        for row in rows {
            line += &format!("{:17}| {row}\n", "");
        }
        self.lines.push((at, line));
    }

    fn print(mut self) -> String {
        self.lines.sort_by_key(|(at, _)| *at);
        self.lines.into_iter().map(|(_, line)| line).collect()
    }
}
