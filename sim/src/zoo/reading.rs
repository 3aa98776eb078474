//! The bugs of reading, and of names.

use holdfast::zoo::Bug;

use super::{Animal, aimed, history};

pub(super) const READING: &[Animal] = &[
    history(
        Bug::ReadWithoutIfMatch,
        "read-without-if-match",
        "GETs of a held Version carry no condition, and the ETag of the answer is not looked at.",
        &["single-version"],
        "a FUSE client that reads ranges of a name: whatever is there now is spliced onto what was there before",
    )
    .in_a_race(),
    history(
        Bug::ConditionDroppedOnResume,
        "condition-dropped-on-resume",
        "A body that broke is resumed with whatever is current.",
        &["single-version"],
        "a download that resumes with Range alone, as plain HTTP clients do",
    )
    .in_a_race(),
    aimed(
        Bug::EtagOfAnswerIgnored,
        "etag-of-answer-ignored",
        "The ETag of an answer is not compared with the one that was asked for.",
        &["single-version"],
    )
    .in_a_race(),
    history(
        Bug::WrongRangeAccepted,
        "wrong-range-accepted",
        "The range that an answer claims is not compared with the one that was asked for.",
        &["byte-exact"],
        "a cache that stores a 200, or another 206, as if it were the block that it wanted",
    ),
    history(
        Bug::LostRefetchedWithoutCondition,
        "lost-refetched-without-condition",
        "Bytes of a replaced Version that nobody holds are fetched from its successor.",
        &["single-version"],
        "a reader that is told ESTALE once and on its retry gets the new object's bytes",
    )
    .in_a_race(),
    aimed(
        Bug::ReadByNameThoughVersioned,
        "read-by-name-though-versioned",
        "GETs of a held Version do not name its version id.",
        &["errno"],
    )
    .in_a_race(),
    aimed(
        Bug::OpenByVersionId,
        "open-by-version-id",
        "An open asks for the version id that it knows, and takes its being there for its being current.",
        &["freshness"],
    )
    .in_a_race(),
    history(
        Bug::SiblingHidesDirectory,
        "sibling-hides-directory",
        "Whether a directory exists is asked for without its slash, so `dir-1` hides `dir/`.",
        &["absence"],
        "a FUSE client whose directory test lists the bare prefix: `-` and `.` sort before `/`",
    ),
    history(
        Bug::AttemptNeverTimesOut,
        "attempt-never-times-out",
        "A request that is never answered is waited for for ever.",
        &["deadlock", "liveness"],
        "a mount that hangs on a connection which a load balancer has forgotten",
    ),
    aimed(Bug::ThrottlingForgotten, "throttling-forgotten", "\"Slow down\" slows nobody down.", &["budget"]),
    aimed(
        Bug::PenaltyOfMinutes,
        "penalty-of-minutes",
        "One \"slow down\" silences the mount for minutes.",
        &["liveness", "errno"],
    ),
    history(
        Bug::TransientIsFatal,
        "transient-is-fatal",
        "A 503 is not asked again.",
        &["errno"],
        "a client that hands a passing 503 to the application as an input/output error",
    ),
    aimed(Bug::DenialRetried, "denial-retried", "A 403 is asked again until the deadline.", &["liveness"]),
    history(
        Bug::RetryWithoutDelay,
        "retry-without-delay",
        "Retries follow one another at once.",
        &["budget"],
        "a request storm against a service that is already failing",
    ),
    aimed(
        Bug::RetryAfterIgnored,
        "retry-after-ignored",
        "What the service says in Retry-After is not heeded.",
        &["budget"],
    ),
    aimed(Bug::RetriesNeverEnd, "retries-never-end", "The deadline never comes.", &["liveness"]),
    aimed(
        Bug::ProgressNotCounted,
        "progress-not-counted",
        "Failures long ago, made good since, count towards the deadline.",
        &["errno"],
    ),
    aimed(Bug::JitterFromOutside, "jitter-from-outside", "Back-off draws its randomness past the seams.", &["hashes"]),
    aimed(
        Bug::SweptInOrderOfAddresses,
        "swept-in-order-of-addresses",
        "Memory is swept in the order of addresses.",
        &["hashes"],
    ),
    history(
        Bug::MemoryNeverSwept,
        "memory-never-swept",
        "The memory budget is counted and not kept.",
        &["budget"],
        "a page pool that only ever grows, until the kernel ends the mount",
    ),
    history(
        Bug::PermitOfSmallRoomLost,
        "permit-of-small-room-lost",
        "Memory of small extents never comes back to the budget.",
        &["leak", "budget"],
        "a budget ticket that leaks on one way out, until everybody waits for memory",
    ),
    aimed(Bug::PreciousSwept, "precious-swept", "What could not be had again is swept like anything else.", &["errno"])
        .in_a_race(),
    aimed(
        Bug::SpillDropsBeforeSaved,
        "spill-drops-before-saved",
        "An extent leaves memory before the lifeboat has it.",
        &["errno"],
    )
    .in_a_race(),
    aimed(Bug::AllowanceIgnored, "allowance-ignored", "Lifeboats grow beyond `--hold-max`.", &["budget"]).in_a_race(),
    aimed(
        Bug::AllowanceNotReturned,
        "allowance-not-returned",
        "A lifeboat's share of `--hold-max` is never given back.",
        &["leak"],
    )
    .in_a_race(),
    aimed(
        Bug::AllowanceTakenTwice,
        "allowance-taken-twice",
        "Bytes that two anchors bring are counted twice.",
        &["leak"],
    )
    .in_a_race(),
    history(
        Bug::DiskShareIgnored,
        "disk-share-ignored",
        "Lifeboats fill the disk.",
        &["budget"],
        "a data cache that fills the root file system",
    )
    .in_a_race(),
    history(
        Bug::SavedBeforeWritten,
        "saved-before-written",
        "A range counts as saved while it is being written.",
        &["byte-exact"],
        "a cache block that is indexed before its write is done: a torn block after a failure",
    )
    .in_a_race(),
    history(
        Bug::WriteErrorIgnored,
        "write-error-ignored",
        "A range counts as saved though its write failed.",
        &["byte-exact"],
        "a disk cache that does not look at what its writes return",
    )
    .in_a_race(),
    history(
        Bug::SpoolBelieved,
        "spool-believed",
        "What comes back from the disk is not compared with what was saved.",
        &["byte-exact", "single-version"],
        "a data cache without checksums: a block that was torn when it was written is served as it stands",
    )
    .in_a_race(),
    aimed(
        Bug::AnchorCutBeforeLanesBegan,
        "anchor-cut-before-lanes-began",
        "A hop cuts its old anchor before the new GETs have begun.",
        &["errno"],
    )
    .in_a_race(),
    aimed(
        Bug::FailedHopDropsAnchor,
        "failed-hop-drops-anchor",
        "A hop that fails drops the old anchor instead of the new one.",
        &["errno"],
    )
    .in_a_race(),
    history(
        Bug::ClaimedLengthBelieved,
        "claimed-length-believed",
        "An extent counts as held up to the room it has, not to the bytes it has.",
        &["liveness"],
        "a cache that believes the length in a block's header",
    )
    .in_a_race(),
    aimed(
        Bug::WaitsForAPassedStream,
        "waits-for-a-passed-stream",
        "A reader waits for a stream that began beyond what he wants.",
        &["liveness", "errno"],
    ),
    aimed(Bug::SeamOffByOne, "seam-off-by-one", "The second of two joined pieces is one byte off.", &["byte-exact"]),
    history(
        Bug::FirstCloseLetsGo,
        "first-close-lets-go",
        "The first close lets go of what holds the file, though others have it open.",
        &["errno"],
        "a client whose handles share one download that the first close cancels",
    )
    .in_a_race(),
    history(
        Bug::FailedPrefetchUsedAgain,
        "failed-prefetch-used-again",
        "After a failure, every further read of the file is told that same failure.",
        &["errno"],
        "a failed prefetch queue that the next read uses again",
    ),
    history(
        Bug::ZerosWhereLost,
        "zeros-where-lost",
        "Bytes that cannot be had are zeros.",
        &["byte-exact"],
        "a mount that gave zeros for an object deleted in the middle of a read",
    )
    .in_a_race(),
    history(
        Bug::EndOfFileWhereLost,
        "end-of-file-where-lost",
        "Bytes that cannot be had are the end of the file.",
        &["byte-exact"],
        "a mount whose readers see a truncated file where the object was replaced",
    )
    .in_a_race(),
    history(
        Bug::ReplacedIsAnInputOutputError,
        "replaced-is-an-input-output-error",
        "A read of a replaced Version fails with EIO.",
        &["errno"],
        "a mount that answers EIO for an object deleted in the middle of a read",
    )
    .in_a_race(),
    history(
        Bug::StallNeverNoticed,
        "stall-never-noticed",
        "A body that stops in the middle is waited for for ever.",
        &["deadlock", "liveness"],
        "a reader that waits for ever on a first body which never came to its end",
    ),
    history(
        Bug::ShortBodyIsEndOfFile,
        "short-body-is-end-of-file",
        "A body that ends early is the end of the file.",
        &["byte-exact"],
        "a client that takes a connection's end for the object's",
    ),
    aimed(
        Bug::SameBytesSupersede,
        "same-bytes-supersede",
        "An object put again with the same bytes counts as replaced.",
        &["errno"],
    )
    .in_a_race(),
    aimed(
        Bug::ShadowedIsReplaced,
        "shadowed-is-replaced",
        "An object that a directory shadows counts as replaced.",
        &["errno"],
    )
    .in_a_race(),
    history(
        Bug::HeldDroppedOnReplacement,
        "held-dropped-on-replacement",
        "What was held of a file that is open is dropped when it is replaced.",
        &["errno"],
        "a cache that invalidates, on a remote change, the data of handles that are in use",
    )
    .in_a_race(),
    aimed(
        Bug::AnchorDroppedOnReplacement,
        "anchor-dropped-on-replacement",
        "The GETs of a file that is open end when it is replaced.",
        &["errno"],
    )
    .in_a_race(),
    aimed(
        Bug::AnchorTakenByStray,
        "anchor-taken-by-stray",
        "Scattered reads take the anchor of a sequential reader of the same file.",
        &["errno"],
    )
    .in_a_race(),
    history(
        Bug::WindowIncrementLost,
        "window-increment-lost",
        "A reader's wish does not widen the window of the stream it waits for.",
        &["liveness"],
        "a lost increment of a flow-control window: sender and reader wait for each other",
    ),
    history(
        Bug::WakeUpLost,
        "wake-up-lost",
        "A paused stream is not told that its reader goes on.",
        &["liveness"],
        "a wake-up lost between a prefetcher and its reader",
    ),
    aimed(Bug::PurgeUnnoticed, "purge-unnoticed", "That a version id names nothing any more is not noted.", &["errno"])
        .in_a_race(),
    aimed(
        Bug::TrickleWithoutEnd,
        "trickle-without-end",
        "A paused stream trickles on for as long as the pause lasts.",
        &["budget"],
    ),
    history(
        Bug::PausedStreamLeftIdle,
        "paused-stream-left-idle",
        "A paused stream is not read at all.",
        &["errno"],
        "connections that services reset after a minute without a read",
    )
    .in_a_race(),
    history(
        Bug::PausedStreamDropped,
        "paused-stream-dropped",
        "A paused stream ends its GET and begins another when its reader goes on.",
        &["errno"],
        "a client that closes idle downloads, which then cannot be had again",
    )
    .in_a_race(),
    aimed(
        Bug::BreakBeforeMake,
        "break-before-make",
        "A GET is given up before the one that replaces it has begun.",
        &["errno"],
    )
    .in_a_race(),
    history(
        Bug::BytesOfStoppedStreamUnexpected,
        "bytes-of-stopped-stream-unexpected",
        "Bytes that arrive for a stream nobody wants any more are a panic.",
        &["panic"],
        "a prefetch queue that panics on a part it did not expect, and takes the mount down",
    )
    .in_a_race(),
    history(
        Bug::OverflowAppended,
        "overflow-appended",
        "What a body brings beyond its range is taken for what follows it.",
        &["byte-exact"],
        "a client that appends whatever a body brings",
    ),
    history(
        Bug::ResumedAtItsBlock,
        "resumed-at-its-block",
        "A body that broke is resumed at the start of its block, and appended where it broke.",
        &["byte-exact"],
        "a resume at a block boundary that forgets the part of the block it has",
    ),
    history(
        Bug::QueuedBytesOvertaken,
        "queued-bytes-overtaken",
        "After bytes went to the lifeboat, later ones are appended to the extent begun before.",
        &["byte-exact"],
        "a completion that overtakes queued parts: the stream advances past bytes that are elsewhere",
    )
    .in_a_race(),
    history(
        Bug::DateIsTheVersion,
        "date-is-the-version",
        "Two objects of one size and date are one Version, whatever their ETags.",
        &["freshness"],
        "a cache keyed by modification time and size",
    )
    .in_a_race(),
    history(
        Bug::FstatFollowsTheName,
        "fstat-follows-the-name",
        "The attributes of an inode are those of whatever its name means now.",
        &["attributes"],
        "a FUSE client whose fstat follows the path",
    )
    .in_a_race(),
    history(
        Bug::FstatOfReplacedFails,
        "fstat-of-replaced-fails",
        "fstat on a handle whose object was replaced fails.",
        &["errno", "attributes"],
        "a FUSE client whose handles die with ESTALE when the object is replaced",
    )
    .in_a_race(),
    aimed(
        Bug::OpenIgnoresSupersession,
        "open-ignores-supersession",
        "An open trusts an inode that is known to be replaced.",
        &["monotonic", "freshness"],
    )
    .in_a_race(),
    aimed(
        Bug::PinForAnybody,
        "pin-for-anybody",
        "What one open pinned is handed to any other.",
        &["freshness", "monotonic"],
    )
    .in_a_race(),
    aimed(Bug::PinIgnored, "pin-ignored", "The look-up that follows a pin asks the bucket again.", &["errno"])
        .in_a_race(),
    aimed(Bug::PinHoldsNoInode, "pin-holds-no-inode", "A pin does not keep its inode.", &["errno"]).in_a_race(),
    aimed(
        Bug::PinClosedTwice,
        "pin-closed-twice",
        "A pin that was taken expires all the same.",
        &["panic", "inode-hygiene"],
    )
    .in_a_race(),
    aimed(Bug::PinNeverExpires, "pin-never-expires", "A pin that nobody comes for stays.", &["leak"]).in_a_race(),
    history(
        Bug::NegativeOutlivesCreate,
        "negative-outlives-create",
        "A missing name stays missing until something else tells of it.",
        &["absence"],
        "a negative entry that outlives the creation of its object",
    )
    .in_a_race(),
    aimed(
        Bug::KnownNameNotCounted,
        "known-name-not-counted",
        "A look-up answered from memory is not counted.",
        &["inode-hygiene", "errno"],
    )
    .in_a_race(),
    history(
        Bug::StaleAnswerOverwrites,
        "stale-answer-overwrites",
        "An answer that began before a newer one and ends after it stands.",
        &["monotonic", "freshness"],
        "a stale HEAD or LIST that overwrites a newer stat",
    )
    .in_a_race(),
    history(
        Bug::LateNotFoundOverwrites,
        "late-not-found-overwrites",
        "A \"not found\" that is older than what is known stands.",
        &["absence", "monotonic"],
        "a slow 404 that undoes the creation seen meanwhile",
    )
    .in_a_race(),
    history(
        Bug::InodeReusedAcrossEtags,
        "inode-reused-across-etags",
        "A new Version at a name keeps the inode.",
        &["single-version", "attributes"],
        "inodes that belong to paths: the kernel's page cache mixes two versions",
    )
    .in_a_race(),
    aimed(
        Bug::InodeNumberRecycled,
        "inode-number-recycled",
        "Numbers of forgotten inodes are given to new ones.",
        &["inode-hygiene"],
    )
    .in_a_race(),
    history(
        Bug::NumberSurvivesForget,
        "number-survives-forget",
        "A name gives the inode that follows a forgotten one its number.",
        &["inode-hygiene"],
        "inode numbers derived from names, so that two versions share one",
    )
    .in_a_race(),
    history(
        Bug::ForgetCountIgnored,
        "forget-count-ignored",
        "A forget takes one look-up off, whatever its count.",
        &["leak", "inode-hygiene"],
        "a FUSE server that forgets to read the count of FORGET, and grows for ever",
    ),
    history(
        Bug::ForgetDropsWhatWasJustCounted,
        "forget-drops-what-was-just-counted",
        "A forget drops the inode though a look-up has counted it since.",
        &["inode-hygiene", "errno"],
        "a race between LOOKUP and FORGET that leaves the kernel an inode nobody knows",
    )
    .in_a_race(),
    aimed(
        Bug::SupersessionNotTold,
        "supersession-not-told",
        "A look-up that sees a newer Version does not tell those who hold the old one.",
        &["errno"],
    )
    .in_a_race(),
    history(
        Bug::TtlFromTheUse,
        "ttl-from-the-use",
        "A name answered from memory is fresh for a whole TTL again.",
        &["freshness"],
        "a cache whose entries live on for as long as they are used",
    )
    .in_a_race(),
    history(
        Bug::RepeatedPageBelieved,
        "repeated-page-believed",
        "Pages of a listing that repeat themselves are believed.",
        &["listing"],
        "a listing loop on a store that gives the same continuation token again",
    ),
    aimed(
        Bug::HeldBackAgesWithLaterPages,
        "held-back-ages-with-later-pages",
        "A name that a listing held back is as fresh as the page that lets it go.",
        &["freshness", "monotonic"],
    )
    .in_a_race(),
    history(
        Bug::SiblingReleasesTheFile,
        "sibling-releases-the-file",
        "A file that its directory is to shadow is shown as soon as any name follows it.",
        &["listing"],
        "a merge of files and prefixes that forgets that `a-1` sorts between `a` and `a/`",
    ),
    history(
        Bug::FileListedBesideItsDirectory,
        "file-listed-beside-its-directory",
        "A file and the directory of its name are both listed.",
        &["listing"],
        "a listing with one name twice, of which tools then delete the wrong one",
    ),
    history(
        Bug::MarkerShown,
        "marker-shown",
        "A directory's marker is shown in it as a file.",
        &["listing"],
        "a listing that shows the zero-byte object which stands for the directory itself",
    ),
    history(
        Bug::LookupDatedAtItsAnswer,
        "lookup-dated-at-its-answer",
        "What a look-up saw counts as seen when its answer came.",
        &["monotonic", "freshness"],
        "a stale HEAD that overwrites a newer stat because it came last",
    )
    .in_a_race(),
    history(
        Bug::ListingDatedAtItsAnswer,
        "listing-dated-at-its-answer",
        "What a page listed counts as seen when the page came.",
        &["freshness", "monotonic"],
        "a LIST page that was buffered and given a fresh TTL",
    )
    .in_a_race(),
    history(
        Bug::FailureMeansAbsent,
        "failure-means-absent",
        "A HEAD that fails says that the object is missing.",
        &["absence"],
        "an ENOENT remembered where the answer was 403 or 503",
    ),
    aimed(
        Bug::UnlistedMeansAbsent,
        "unlisted-means-absent",
        "A LIST that fails says that there is no directory.",
        &["absence"],
    ),
    aimed(
        Bug::RewindKeepsTheListing,
        "rewind-keeps-the-listing",
        "A directory that is rewound shows what it showed before.",
        &["listing"],
    )
    .in_a_race(),
    history(
        Bug::CookieOffByOne,
        "cookie-off-by-one",
        "The first name of a page is skipped where a read begins at the page.",
        &["listing"],
        "a readdir cookie that is off by one at the boundary of a page",
    ),
    history(
        Bug::LastNameOfPageRepeated,
        "last-name-of-page-repeated",
        "The last name of a page is shown again before the next page.",
        &["listing"],
        "a resumed listing that starts at, and not after, the last key",
    ),
    history(
        Bug::ListingLockedTwice,
        "listing-locked-twice",
        "A page that fails is put away by taking the lock that is held.",
        &["deadlock"],
        "a completion that takes the lock of whoever waits for it",
    ),
    history(
        Bug::FailedPageEndsListing,
        "failed-page-ends-listing",
        "A page that fails is the end of the listing.",
        &["listing"],
        "an `ls` that shows half of a directory, and a sync that deletes the rest",
    ),
    history(
        Bug::DotsCounted,
        "dots-counted",
        "READDIRPLUS counts `.` as a look-up.",
        &["leak"],
        "inodes of directories that are never forgotten, because `.` was counted",
    ),
    history(
        Bug::ListedNameNotCounted,
        "listed-name-not-counted",
        "READDIRPLUS does not count the names it gives.",
        &["inode-hygiene", "errno"],
        "an entry that the kernel knows and the server has dropped: ESTALE at the next use",
    ),
    aimed(
        Bug::OpeningHoldsNothing,
        "opening-holds-nothing",
        "An open under way does not keep what is at hand from being let go.",
        &["errno"],
    )
    .in_a_race(),
    aimed(
        Bug::FailedOpenLeaksItsInode,
        "failed-open-leaks-its-inode",
        "An open that fails before it has a content keeps the inode.",
        &["leak"],
    )
    .in_a_race(),
    aimed(Bug::KeptAnchorNeverBegun, "kept-anchor-never-begun", "With `--hold=full` no anchor is kept.", &["errno"])
        .in_a_race(),
    aimed(
        Bug::ReleaseForgetsTheContent,
        "release-forgets-the-content",
        "Closing a file does not let go of what holds it.",
        &["leak"],
    ),
    history(
        Bug::ReleaseForgetsTheInode,
        "release-forgets-the-inode",
        "Closing a file does not let go of its inode.",
        &["leak"],
        "a handle leak at release",
    ),
    history(
        Bug::GateNeverReleased,
        "gate-never-released",
        "A cold open that fails never lets the next one in.",
        &["deadlock"],
        "a per-inode lock that an early return forgets",
    )
    .in_a_race(),
    history(
        Bug::VersionFromLookupBytesFromGet,
        "version-from-lookup-bytes-from-get",
        "A cold open takes its GET's bytes for those of the Version that the look-up saw.",
        &["single-version", "attributes"],
        "HEAD, then GET without a condition: attributes of one version, bytes of the next",
    )
    .in_a_race(),
    aimed(
        Bug::OvertakenOpenNotTold,
        "overtaken-open-not-told",
        "An open that was overtaken by a newer Version is not told.",
        &["errno"],
    )
    .in_a_race(),
    aimed(
        Bug::EmptiedFileCalledAbsent,
        "emptied-file-called-absent",
        "An object that was emptied while it was opened is called absent.",
        &["absence"],
    )
    .in_a_race(),
    aimed(
        Bug::OpenOverlooksADirectory,
        "open-overlooks-a-directory",
        "An open that finds no object does not look for a directory that has taken the name.",
        &["absence"],
    )
    .in_a_race(),
    history(
        Bug::EmptyObjectAskedByRange,
        "empty-object-asked-by-range",
        "An empty object is asked for by a range, which none fits.",
        &["errno"],
        "empty objects that cannot be opened, because their range is not satisfiable",
    ),
    aimed(
        Bug::AttributesOfTheNewerVersion,
        "attributes-of-the-newer-version",
        "What S3 knows of a newer Version is shown for the one that is held.",
        &["attributes"],
    )
    .in_a_race(),
];
