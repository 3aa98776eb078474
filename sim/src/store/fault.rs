//! What may go wrong with a request, and the rules that say with which.

use std::time::Duration;

use holdfast::env::store::{ByteRange, ErrorKind, Get, ObjectMeta, ReadConditions, StoreError};

use super::request::{Asked, Counting, Matcher};

/// One rule: the requests that `when` means suffer `what`. Several rules may hit one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub when: Matcher,
    pub what: FaultKind,
}

/// Byte counts of a body count from that body's first byte. Those that speak of bodies, ranges or ETags hit GETs only,
/// those that speak of pages hit LISTs only.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    // The request.
    /// Answered with this error; not applied.
    Refused(StoreError),
    /// Takes so much longer to be applied.
    Delayed(Duration),
    /// Applied when it should be, and answered so much later.
    AnswerSlow(Duration),
    /// Applied, but the connection breaks before the answer.
    AnswerLost,
    /// The connection breaks, and it is applied that much later all the same.
    AppliedLate(Duration),
    /// Not applied and never answered.
    Hangs,
    /// Applied and never answered.
    HangsApplied,
    /// Its conditions are ignored, as by stores that do not know them. (For those of writes: `BucketOptions`.)
    ConditionsIgnored,

    // The header of a GET.
    /// Another range is answered, header and body agreeing: this much further on.
    RangeShifted(u64),
    /// The whole object is answered, header and body agreeing.
    RangeIgnored,
    /// The header gives an ETag that no version ever had.
    EtagWrong,
    /// The header, or the answer to a HEAD, claims an object larger by this.
    SizeWrong(u64),
    /// It claims a Last-Modified so many seconds off.
    ModifiedSkewed(i64),

    // The body of a GET.
    /// Breaks off with an error.
    BodyBreaks { after: u64 },
    /// Ends as if that were all.
    BodyEnds { after: u64 },
    /// So many foreign bytes follow the last.
    BodyOverflows { by: u64 },
    /// Nothing more comes, for ever.
    BodyStalls { after: u64 },
    /// Breaks off when nobody has asked for bytes for longer than this.
    BodyDiesPaused { longer_than: Duration },
    /// Each chunk takes this long.
    BodySlow { chunk: Duration },

    // A page of a LIST.
    /// The page before comes once more, token and all. (The first page has none before it.)
    PageRepeats,
    /// The first page's entries come in place of this page's, with this page's token.
    PageGoesBack,
    /// The token is missing, as if this were the last page.
    PageTokenDropped,
    /// The token is the one that asked for this page.
    PageTokenLoops,
    /// From the second page on: the page is empty, and its token the one that asked for the page before. On every page,
    /// two tokens take turns for ever.
    PageTokenCircles,
}

impl FaultKind {
    pub fn refused(kind: ErrorKind) -> Self {
        Self::Refused(StoreError::new(kind, "as the test asked"))
    }

    /// 503 SlowDown with Retry-After.
    pub fn throttled(retry_after: Duration) -> Self {
        let error = StoreError::new(ErrorKind::Throttled, "as the test asked");
        Self::Refused(StoreError { retry_after: Some(retry_after), ..error })
    }
}

/// The rules in force, in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct FaultRules {
    rules: Vec<(Counting, FaultKind)>,
}

impl FaultRules {
    pub(super) fn add(&mut self, fault: Fault) {
        self.rules.push((Counting::new(fault.when), fault.what));
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// Counts this request with every rule; answers what it will suffer.
    pub(super) fn meet(&mut self, asked: &Asked) -> Suffering {
        let mut hit = Vec::new();
        for (counting, what) in &mut self.rules {
            if counting.count(asked) {
                hit.push(what.clone());
            }
        }
        Suffering { faults: hit }
    }
}

/// The faults of one request.
#[derive(Debug, Default)]
pub(super) struct Suffering {
    faults: Vec<FaultKind>,
}

impl Suffering {
    pub(super) fn iter(&self) -> impl Iterator<Item = &FaultKind> {
        self.faults.iter()
    }

    pub(super) fn has(&self, fault: &FaultKind) -> bool {
        self.faults.contains(fault)
    }

    pub(super) fn refusal(&self) -> Option<StoreError> {
        self.iter().find_map(|fault| match fault {
            FaultKind::Refused(error) => Some(error.clone()),
            _ => None,
        })
    }

    pub(super) fn delay(&self) -> Duration {
        self.iter().fold(Duration::ZERO, |sum, fault| match fault {
            FaultKind::Delayed(delay) => sum.saturating_add(*delay),
            _ => sum,
        })
    }

    pub(super) fn answer_delay(&self) -> Duration {
        self.iter().fold(Duration::ZERO, |sum, fault| match fault {
            FaultKind::AnswerSlow(delay) => sum.saturating_add(*delay),
            _ => sum,
        })
    }

    pub(super) fn applied_late(&self) -> Option<Duration> {
        self.iter().find_map(|fault| match fault {
            FaultKind::AppliedLate(delay) => Some(*delay),
            _ => None,
        })
    }

    /// What the answer says of the object in place of the truth.
    pub(super) fn misdescribe(&self, meta: &mut ObjectMeta) {
        for fault in self.iter() {
            match fault {
                FaultKind::SizeWrong(by) => meta.size += by,
                FaultKind::ModifiedSkewed(seconds) => meta.last_modified += seconds,
                _ => {}
            }
        }
    }

    /// The conditions that the server goes by.
    pub(super) fn conditions(&self, conditions: ReadConditions) -> ReadConditions {
        if self.has(&FaultKind::ConditionsIgnored) { ReadConditions::none() } else { conditions }
    }

    /// The GET that the server answers in place of the one that was asked.
    pub(super) fn misread(&self, asked: Get) -> Get {
        let mut range = asked.range;
        for fault in self.iter() {
            match fault {
                FaultKind::RangeIgnored => range = None,
                FaultKind::RangeShifted(by) => {
                    range = Some(match range {
                        None => ByteRange::From(*by),
                        Some(ByteRange::From(start)) => ByteRange::From(start + by),
                        Some(ByteRange::Within { start, end }) => {
                            ByteRange::Within { start: start + by, end: end + by }
                        }
                        Some(ByteRange::Last(n)) => ByteRange::Last(n + by),
                    });
                }
                _ => {}
            }
        }
        Get { conditions: self.conditions(asked.conditions.clone()), range, ..asked }
    }
}
