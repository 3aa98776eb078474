//! A recorded run as one page of HTML that needs nothing else: what went wrong in words and colours on top, below it the
//! run as a picture, below that the scenario's own lines.
//!
//! In the picture x is virtual time, to scale where things happen and compressed where nothing does. The n-th version of a
//! key has the n-th colour everywhere: what a key holds, what a request gives, what a handle pins, what a read returns. So
//! a torn read is a bar of two colours, and a stale one a bar in a colour that its key no longer has.
//!
//! The page is drawn here; its script only zooms, follows links and shows tooltips, and without it everything can still be
//! seen. Equal runs give equal pages. It shows at most [`REQUESTS_MAX`] requests, the last ones.

mod applications;
mod axis;
mod bucket;
mod colours;
mod culprit;
mod script;
mod sheet;
mod text;
mod verdict;

use holdfast::env::Time;

use crate::recording::{Recording, RequestRecord, words};
use crate::run::Outcome;
use crate::scenario::format::ScenarioFile;
use axis::{Axis, WIDTH};
use colours::Colours;
use culprit::Culprit;
use sheet::Sheet;
use text::{Mark, escape};

/// More are too small to see and too many to send.
pub const REQUESTS_MAX: usize = 1500;

const STYLE: &str = include_str!("report/page.css");
const SCRIPT: &str = include_str!("report/page.js");

/// What every part of the page is drawn from.
struct View<'a> {
    file: &'a ScenarioFile,
    recording: &'a Recording,
    axis: Axis,
    colours: Colours,
    culprit: Option<Culprit<'a>>,
}

impl View<'_> {
    /// Those that are shown, with their numbers.
    fn requests(&self) -> impl Iterator<Item = (usize, &RequestRecord)> {
        let requests = &self.recording.requests;
        requests.iter().enumerate().skip(requests.len().saturating_sub(REQUESTS_MAX))
    }
}

/// See the module.
pub fn html(file: &ScenarioFile, outcome: &Outcome, recording: &Recording) -> String {
    let view = View {
        file,
        recording,
        axis: Axis::new(recording),
        colours: Colours::new(recording),
        culprit: Culprit::of(recording),
    };
    let title = match view.culprit {
        Some(culprit) => format!("{}: {}", culprit.finding.oracle, file.name),
        None => format!("nothing found: {}", file.name),
    };
    let mut sheet = Sheet::new();
    applications::draw(&view, &mut sheet);
    bucket::mounts(&view, &mut sheet);
    let keys = bucket::keys(&view, &mut sheet);
    across(&view, &mut sheet);
    let (from, to) = focus(&view);
    let finding = if view.culprit.is_some() { "<button data-focus=\"1\">the finding</button>" } else { "" };
    let (verdict, legend, script, figures) =
        (verdict::html(&view), legend(&view, &keys), script::html(&view), figures(&view, outcome));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<style>\n{STYLE}</style></head>\n<body>\n{verdict}\
         <nav><button data-zoom=\"2\">+</button><button data-zoom=\"0.5\">−</button>\
         <button data-all=\"1\">the whole run</button>{finding}\
         <span>ctrl + wheel zooms, links below lead to bars</span></nav>\n\
         <main><div class=\"sheet\" style=\"--all:{WIDTH}\" data-from=\"{from:.2}\" data-to=\"{to:.2}\">\n{}</div></main>\n\
         {legend}{script}{figures}<script>\n{SCRIPT}</script>\n</body></html>\n",
        escape(&title),
        sheet.html(),
    )
}

/// The part of the axis that tells the finding: from what its handle pinned, or from its beginning, to the sight.
fn focus(view: &View<'_>) -> (f64, f64) {
    let Some(culprit) = view.culprit else { return (0.0, WIDTH) };
    let finding = culprit.finding.at;
    let begins = [
        culprit.op.map(|op| op.began),
        culprit.call.map(|call| call.began),
        culprit.file.map(|file| file.opened),
        // For who sees something old: the last change before.
        culprit.call.and_then(|call| {
            let changes = view.recording.mutations.iter();
            changes
                .filter(|change| Some(&change.key) == call.key.as_ref() && change.at <= finding)
                .map(|c| c.at)
                .next_back()
        }),
    ];
    let from = begins.into_iter().flatten().min().unwrap_or(finding);
    (view.axis.x(from), view.axis.x(finding))
}

/// The axis, compressed pauses, outages and findings.
fn across(view: &View<'_>, sheet: &mut Sheet) {
    for pause in view.axis.compressed() {
        let long = format!("{:?}", pause.end.0 - pause.start.0);
        sheet.behind(&Mark {
            class: "pause".into(),
            x: view.axis.x(pause.start),
            width: Some(view.axis.width(pause.start, pause.end)),
            title: format!("{long} in which nothing happens, not to scale"),
            label: format!("⋯ {} ⋯", short(pause.end.0 - pause.start.0)),
            ..Mark::default()
        });
    }
    for outage in &view.recording.outages {
        let end = outage.end.min(view.recording.ended);
        sheet.behind(&Mark {
            class: "outage".into(),
            x: view.axis.x(outage.start),
            width: Some(view.axis.width(outage.start, end)),
            label: "⚡ S3 is down".into(),
            ..Mark::default()
        });
    }
    // Labels that have no room are hidden by the script, or here for who has none.
    let mut last = f64::MIN;
    for (at, x) in view.axis.ticks(4.0) {
        let crowded = x - last < 90.0;
        last = if crowded { last } else { x };
        let class = if crowded { "tick crowded".into() } else { "tick".into() };
        sheet.behind(&Mark { class, x, label: short(at.0), ..Mark::default() });
    }
    if let Some(at) = view.recording.calm_at {
        let title = "from here on nothing goes wrong, and every mount is looked at".into();
        let label = "the weather is over".into();
        sheet.across(&Mark { class: "calm".into(), x: view.axis.x(at), title, label, ..Mark::default() });
    }
    if let Some(culprit) = view.culprit {
        let at = culprit.finding.at;
        let began = culprit.op.map(|op| op.began).or(culprit.call.map(|call| call.began)).unwrap_or(at);
        sheet.behind(&Mark {
            class: "blame".into(),
            x: view.axis.x(began),
            width: Some(view.axis.width(began, at)),
            ..Mark::default()
        });
        sheet.across(&Mark {
            class: "finding".into(),
            x: view.axis.x(at),
            id: "finding".into(),
            label: format!("✗ {}", culprit.finding.oracle),
            ..Mark::default()
        });
    }
}

fn short(time: std::time::Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    match ms {
        _ if ms >= 10_000.0 => format!("{:.3} s", ms / 1000.0),
        _ if ms >= 100.0 => format!("{ms:.0} ms"),
        _ => format!("{ms:.1} ms"),
    }
}

fn legend(view: &View<'_>, keys: &[String]) -> String {
    let mut html = String::from("<section class=\"legend\"><h2>colours</h2><table>\n");
    for key in keys.iter().filter(|key| !view.colours.versions(key).is_empty()) {
        let versions = view.colours.versions(key).iter().map(|version| {
            let class = view.colours.class(key, Some(*version));
            format!("<span class=\"swatch {class}\">{}</span> ", escape(&words::version(Some(*version))))
        });
        html += &format!("<tr><th>{}</th><td>{}</td></tr>\n", escape(key), versions.collect::<String>());
    }
    html += "<tr><th>of no version</th><td><span class=\"swatch cz\">zeros</span> \
             <span class=\"swatch cx\">nobody's, or another key's</span></td></tr>\n";
    html += "<tr><th>marks</th><td>◆ put by others · ✕ deleted by others · ⚡ fault · ╎ a change during this request · \
             <span class=\"swatch errs\">failed</span> · pale: no version, or not yet applied</td></tr>\n";
    html + "</table></section>\n"
}

fn figures(view: &View<'_>, outcome: &Outcome) -> String {
    let figures = &outcome.figures;
    let left_out = view.recording.requests.len().saturating_sub(REQUESTS_MAX);
    let left_out = if left_out > 0 { format!(" (the first {left_out} are not shown)") } else { String::new() };
    format!(
        "<footer>{} system calls, {} requests of the kernel, {} of S3{left_out}, {} fetched, {} mutations of which {} in \
         flight, {} simulated, hash {:#018x}</footer>\n",
        figures.calls,
        figures.kernel_requests,
        figures.store_requests,
        words::size(figures.bytes_fetched),
        figures.mutations,
        figures.mutations_in_flight,
        words::time(Time(figures.simulated)),
        outcome.hash,
    )
}

#[cfg(test)]
mod tests;
