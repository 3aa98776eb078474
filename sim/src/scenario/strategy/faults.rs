//! What goes wrong.

use super::{Draw, Profile};
use crate::scenario::config::ScenarioConfig;
use crate::scenario::{AppOp, Cause, ErrorName, FaultAt, FaultSpec, RequestCause, RequestKind};

/// Kinds of faults, of which a scenario has some.
#[derive(Clone, Copy)]
enum Sort {
    Refused,
    Denied,
    Gone,
    Slow,
    Lost,
    Hangs,
    BodyBreaks,
    BodyEnds,
    BodyStalls,
    BodyOverflows,
    BodyDies,
    BodySlow,
    Range,
    Header,
    Conditions,
    Page,
    Outage,
}

const SORTS: &[Sort] = &[
    Sort::Refused,
    Sort::Denied,
    Sort::Gone,
    Sort::Slow,
    Sort::Lost,
    Sort::Hangs,
    Sort::BodyBreaks,
    Sort::BodyEnds,
    Sort::BodyStalls,
    Sort::BodyOverflows,
    Sort::BodyDies,
    Sort::BodySlow,
    Sort::Range,
    Sort::Header,
    Sort::Conditions,
    Sort::Page,
    Sort::Outage,
];

/// Also settles what hangs on it in the config: an operation that meets faults needs time for its retries.
pub(super) fn faults(
    profile: Profile,
    config: &mut ScenarioConfig,
    ops: &[AppOp],
    draw: &mut Draw<'_>,
) -> Vec<FaultAt> {
    let count = match profile {
        Profile::Fair | Profile::Viewers | Profile::Trials | Profile::Writers | Profile::All => 0,
        Profile::Storm => draw.within(5, 40),
        Profile::Tiny => draw.below(2),
        Profile::Mixed | Profile::Swarm | Profile::Pauses | Profile::Listing if draw.chance(2, 5) => 0,
        Profile::Mixed | Profile::Swarm | Profile::Pauses | Profile::Listing => draw.within(1, 15),
    };
    let sorts = draw.some(SORTS, 1, 4);
    let mut faults: Vec<FaultAt> = Vec::new();
    for _ in 0..count {
        let what = fault(draw.pick(&sorts), profile, draw);
        let when = match what {
            FaultSpec::Outage { .. } => Cause::AtMs(draw.below(30_000)),
            _ => Cause::Request(request(&what, config, ops, draw)),
        };
        faults.push(FaultAt { when, what });
    }
    faults
}

fn fault(sort: Sort, profile: Profile, draw: &mut Draw<'_>) -> FaultSpec {
    let after = draw.below(40_000);
    match sort {
        Sort::Refused => {
            let error = draw.pick(&[
                ErrorName::Throttled,
                ErrorName::Unavailable,
                ErrorName::Unreachable,
                ErrorName::NoAnswer,
                ErrorName::Conflict,
                ErrorName::InvalidAnswer,
            ]);
            let retry_after_ms = draw.chance(1, 4).then(|| draw.below(3_000));
            FaultSpec::Refused { error, retry_after_ms }
        }
        Sort::Denied => FaultSpec::Refused {
            error: draw.pick(&[ErrorName::AccessDenied, ErrorName::Archived]),
            retry_after_ms: None,
        },
        Sort::Gone => {
            let error = draw.pick(&[ErrorName::NotFound, ErrorName::PreconditionFailed, ErrorName::InvalidRange]);
            FaultSpec::Refused { error, retry_after_ms: None }
        }
        Sort::Slow if draw.chance(1, 2) => FaultSpec::Delayed { ms: draw.below(2_000) },
        Sort::Slow => FaultSpec::AnswerSlow { ms: draw.below(2_000) },
        Sort::Lost if draw.chance(1, 2) => FaultSpec::AnswerLost,
        Sort::Lost => FaultSpec::AppliedLate { ms: draw.below(3_000) },
        Sort::Hangs if draw.chance(1, 2) => FaultSpec::Hangs,
        Sort::Hangs => FaultSpec::HangsApplied,
        Sort::BodyBreaks => FaultSpec::BodyBreaks { after },
        Sort::BodyEnds => FaultSpec::BodyEnds { after },
        Sort::BodyStalls => FaultSpec::BodyStalls { after },
        Sort::BodyOverflows => FaultSpec::BodyOverflows { by: 1 + after },
        Sort::BodyDies => FaultSpec::BodyDiesPaused { longer_than_ms: draw.below(40_000) },
        Sort::BodySlow => FaultSpec::BodySlow { chunk_ms: draw.below(200) },
        Sort::Range if draw.chance(1, 2) => FaultSpec::RangeShifted { by: 16 * (1 + draw.below(100)) },
        Sort::Range => FaultSpec::RangeIgnored,
        Sort::Header => match draw.below(3) {
            0 => FaultSpec::EtagWrong,
            1 => FaultSpec::SizeWrong { by: 1 + draw.below(10_000) },
            _ => FaultSpec::ModifiedSkewed { seconds: draw.below(200) as i64 - 100 },
        },
        Sort::Conditions => FaultSpec::ConditionsIgnored,
        Sort::Page => draw.pick(&[
            FaultSpec::PageRepeats,
            FaultSpec::PageGoesBack,
            FaultSpec::PageTokenDropped,
            FaultSpec::PageTokenLoops,
        ]),
        Sort::Outage => {
            let long = if profile == Profile::Storm { 100_000 } else { 20_000 };
            FaultSpec::Outage { ms: draw.below(long) }
        }
    }
}

/// Which request it hits.
fn request(what: &FaultSpec, config: &ScenarioConfig, ops: &[AppOp], draw: &mut Draw<'_>) -> RequestCause {
    use FaultSpec::{
        BodyBreaks, BodyDiesPaused, BodyEnds, BodyOverflows, BodySlow, BodyStalls, EtagWrong, PageGoesBack,
        PageRepeats, PageTokenDropped, PageTokenLoops, RangeIgnored, RangeShifted,
    };
    let kind = match what {
        BodyBreaks { .. }
        | BodyEnds { .. }
        | BodyStalls { .. }
        | BodyOverflows { .. }
        | BodyDiesPaused { .. }
        | BodySlow { .. }
        | RangeShifted { .. }
        | RangeIgnored
        | EtagWrong => Some(RequestKind::Get),
        PageRepeats | PageGoesBack | PageTokenDropped | PageTokenLoops => Some(RequestKind::List),
        _ => draw.weigh(&[
            (2, None),
            (4, Some(RequestKind::Get)),
            (2, Some(RequestKind::Head)),
            (2, Some(RequestKind::List)),
        ]),
    };
    let object = draw.pick(&config.objects).key;
    let keyed = matches!(kind, Some(RequestKind::Get | RequestKind::Head)) && draw.chance(1, 2);
    let since = draw.chance(3, 4).then(|| draw.pick(ops).id);
    let most = draw.pick(&[4, 4, 12]);
    // Now and then for good.
    let nth = (!lasting(what) || !draw.chance(1, 5)).then(|| 1 + draw.below(most));
    RequestCause { kind, key: keyed.then_some(object), nth, since, point: None }
}

/// Whether it makes sense that it hits every request.
fn lasting(what: &FaultSpec) -> bool {
    matches!(what, FaultSpec::Refused { .. })
}
