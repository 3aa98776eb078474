//! Deliberate bugs, to measure the simulator by: one that it does not find is a defect of the simulator.
//!
//! Each is a line at its real place in the core, `if zoo::has(Bug::ReadWithoutIfMatch) { … }`. Without the feature `zoo`,
//! which cannot be had together with `mount`, `has` is a constant and nothing of them is compiled. Where each comes from
//! and by what it is expected to be found stands in the simulator's table.

#[cfg(all(feature = "zoo", feature = "mount"))]
compile_error!("the zoo's bugs are for the simulator: no build that can mount may contain them");

macro_rules! bugs {
    ($($(#[doc = $sentence:literal])* $name:ident,)*) => {
        /// A deliberate bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $($(#[doc = $sentence])* $name,)*
        }

        impl Bug {
            pub const ALL: &[Bug] = &[$(Bug::$name,)*];

            pub fn name(self) -> &'static str {
                match self { $(Bug::$name => stringify!($name),)* }
            }

            /// What it does wrong.
            pub fn sentence(self) -> &'static str {
                match self { $(Bug::$name => concat!($($sentence),*).trim_ascii(),)* }
            }
        }
    };
}

bugs! {
    /// GETs of a held Version carry no condition, and the ETag of the answer is not looked at.
    ReadWithoutIfMatch,
    /// A body that broke is resumed with whatever is current.
    ConditionDroppedOnResume,
    /// The ETag of an answer is not compared with the one that was asked for.
    EtagOfAnswerIgnored,
    /// The range that an answer claims is not compared with the one that was asked for.
    WrongRangeAccepted,
    /// Bytes of a replaced Version that nobody holds are fetched from its successor.
    LostRefetchedWithoutCondition,
    /// GETs of a held Version do not name its version id.
    ReadByNameThoughVersioned,
    /// An open asks for the version id that it knows, and takes its being there for its being current.
    OpenByVersionId,
    /// Whether a directory exists is asked for without its slash, so `dir-1` hides `dir/`.
    SiblingHidesDirectory,
    /// A request that is never answered is waited for for ever.
    AttemptNeverTimesOut,
    /// "Slow down" slows nobody down.
    ThrottlingForgotten,
    /// One "slow down" silences the mount for minutes.
    PenaltyOfMinutes,
    /// A 503 is not asked again.
    TransientIsFatal,
    /// A 403 is asked again until the deadline.
    DenialRetried,
    /// Retries follow one another at once.
    RetryWithoutDelay,
    /// What the service says in Retry-After is not heeded.
    RetryAfterIgnored,
    /// The deadline never comes.
    RetriesNeverEnd,
    /// Failures long ago, made good since, count towards the deadline.
    ProgressNotCounted,
    /// Back-off draws its randomness past the seams.
    JitterFromOutside,
    /// Memory is swept in the order of addresses.
    SweptInOrderOfAddresses,
    /// The memory budget is counted and not kept.
    MemoryNeverSwept,
    /// Memory of small extents never comes back to the budget.
    PermitOfSmallRoomLost,
    /// What could not be had again is swept like anything else.
    PreciousSwept,
    /// An extent leaves memory before the lifeboat has it.
    SpillDropsBeforeSaved,
    /// Lifeboats grow beyond `--hold-max`.
    AllowanceIgnored,
    /// A lifeboat's share of `--hold-max` is never given back.
    AllowanceNotReturned,
    /// Bytes that two anchors bring are counted twice.
    AllowanceTakenTwice,
    /// Lifeboats fill the disk.
    DiskShareIgnored,
    /// A range counts as saved while it is being written.
    SavedBeforeWritten,
    /// A range counts as saved though its write failed.
    WriteErrorIgnored,
    /// What comes back from the disk is not compared with what was saved.
    SpoolBelieved,
    /// A hop cuts its old anchor before the new GETs have begun.
    AnchorCutBeforeLanesBegan,
    /// A hop that fails drops the old anchor instead of the new one.
    FailedHopDropsAnchor,
    /// An extent counts as held up to the room it has, not to the bytes it has.
    ClaimedLengthBelieved,
    /// A reader waits for a stream that began beyond what he wants.
    WaitsForAPassedStream,
    /// The second of two joined pieces is one byte off.
    SeamOffByOne,
    /// The first close lets go of what holds the file, though others have it open.
    FirstCloseLetsGo,
    /// After a failure, every further read of the file is told that same failure.
    FailedPrefetchUsedAgain,
    /// Bytes that cannot be had are zeros.
    ZerosWhereLost,
    /// Bytes that cannot be had are the end of the file.
    EndOfFileWhereLost,
    /// A read of a replaced Version fails with EIO.
    ReplacedIsAnInputOutputError,
    /// A body that stops in the middle is waited for for ever.
    StallNeverNoticed,
    /// A body that ends early is the end of the file.
    ShortBodyIsEndOfFile,
    /// An object put again with the same bytes counts as replaced.
    SameBytesSupersede,
    /// An object that a directory shadows counts as replaced.
    ShadowedIsReplaced,
    /// What was held of a file that is open is dropped when it is replaced.
    HeldDroppedOnReplacement,
    /// The GETs of a file that is open end when it is replaced.
    AnchorDroppedOnReplacement,
    /// Scattered reads take the anchor of a sequential reader of the same file.
    AnchorTakenByStray,
    /// A reader's wish does not widen the window of the stream it waits for.
    WindowIncrementLost,
    /// A paused stream is not told that its reader goes on.
    WakeUpLost,
    /// That a version id names nothing any more is not noted.
    PurgeUnnoticed,
    /// A paused stream trickles on for as long as the pause lasts.
    TrickleWithoutEnd,
    /// A paused stream is not read at all.
    PausedStreamLeftIdle,
    /// A paused stream ends its GET and begins another when its reader goes on.
    PausedStreamDropped,
    /// A GET is given up before the one that replaces it has begun.
    BreakBeforeMake,
    /// Bytes that arrive for a stream nobody wants any more are a panic.
    BytesOfStoppedStreamUnexpected,
    /// What a body brings beyond its range is taken for what follows it.
    OverflowAppended,
    /// A body that broke is resumed at the start of its block, and appended where it broke.
    ResumedAtItsBlock,
    /// After bytes went to the lifeboat, later ones are appended to the extent begun before.
    QueuedBytesOvertaken,
    /// Two objects of one size and date are one Version, whatever their ETags.
    DateIsTheVersion,
    /// The attributes of an inode are those of whatever its name means now.
    FstatFollowsTheName,
    /// fstat on a handle whose object was replaced fails.
    FstatOfReplacedFails,
    /// An open trusts an inode that is known to be replaced.
    OpenIgnoresSupersession,
    /// What one open pinned is handed to any other.
    PinForAnybody,
    /// The look-up that follows a pin asks the bucket again.
    PinIgnored,
    /// A pin does not keep its inode.
    PinHoldsNoInode,
    /// A pin that was taken expires all the same.
    PinClosedTwice,
    /// A pin that nobody comes for stays.
    PinNeverExpires,
    /// A missing name stays missing until something else tells of it.
    NegativeOutlivesCreate,
    /// A look-up answered from memory is not counted.
    KnownNameNotCounted,
    /// An answer that began before a newer one and ends after it stands.
    StaleAnswerOverwrites,
    /// A "not found" that is older than what is known stands.
    LateNotFoundOverwrites,
    /// A new Version at a name keeps the inode.
    InodeReusedAcrossEtags,
    /// Numbers of forgotten inodes are given to new ones.
    InodeNumberRecycled,
    /// A name gives the inode that follows a forgotten one its number.
    NumberSurvivesForget,
    /// A forget takes one look-up off, whatever its count.
    ForgetCountIgnored,
    /// A forget drops the inode though a look-up has counted it since.
    ForgetDropsWhatWasJustCounted,
    /// A look-up that sees a newer Version does not tell those who hold the old one.
    SupersessionNotTold,
    /// A name answered from memory is fresh for a whole TTL again.
    TtlFromTheUse,
    /// Pages of a listing that repeat themselves are believed.
    RepeatedPageBelieved,
    /// A name that a listing held back is as fresh as the page that lets it go.
    HeldBackAgesWithLaterPages,
    /// A file that its directory is to shadow is shown as soon as any name follows it.
    SiblingReleasesTheFile,
    /// A file and the directory of its name are both listed.
    FileListedBesideItsDirectory,
    /// A directory's marker is shown in it as a file.
    MarkerShown,
    /// What a look-up saw counts as seen when its answer came.
    LookupDatedAtItsAnswer,
    /// What a page listed counts as seen when the page came.
    ListingDatedAtItsAnswer,
    /// A HEAD that fails says that the object is missing.
    FailureMeansAbsent,
    /// A LIST that fails says that there is no directory.
    UnlistedMeansAbsent,
    /// A directory that is rewound shows what it showed before.
    RewindKeepsTheListing,
    /// The first name of a page is skipped where a read begins at the page.
    CookieOffByOne,
    /// The last name of a page is shown again before the next page.
    LastNameOfPageRepeated,
    /// A page that fails is put away by taking the lock that is held.
    ListingLockedTwice,
    /// A page that fails is the end of the listing.
    FailedPageEndsListing,
    /// READDIRPLUS counts `.` as a look-up.
    DotsCounted,
    /// READDIRPLUS does not count the names it gives.
    ListedNameNotCounted,
    /// An open under way does not keep what is at hand from being let go.
    OpeningHoldsNothing,
    /// An open that fails before it has a content keeps the inode.
    FailedOpenLeaksItsInode,
    /// With `--hold=full` no anchor is kept.
    KeptAnchorNeverBegun,
    /// Closing a file does not let go of what holds it.
    ReleaseForgetsTheContent,
    /// Closing a file does not let go of its inode.
    ReleaseForgetsTheInode,
    /// A cold open that fails never lets the next one in.
    GateNeverReleased,
    /// A cold open takes its GET's bytes for those of the Version that the look-up saw.
    VersionFromLookupBytesFromGet,
    /// An open that was overtaken by a newer Version is not told.
    OvertakenOpenNotTold,
    /// An object that was emptied while it was opened is called absent.
    EmptiedFileCalledAbsent,
    /// An open that finds no object does not look for a directory that has taken the name.
    OpenOverlooksADirectory,
    /// An empty object is asked for by a range, which none fits.
    EmptyObjectAskedByRange,
    /// What S3 knows of a newer Version is shown for the one that is held.
    AttributesOfTheNewerVersion,
    /// What was written is published under no condition.
    CommitWithoutCondition,
    /// What was written is published under the ETag that the name was last seen to have, not under the one it began from.
    ConditionOfWhatIsThereNow,
    /// A lost condition drops what was written, and close succeeds.
    ConflictSwallowed,
    /// When a condition fails, nobody looks whether what stands is what was sent.
    LostAnswerIsAConflict,
    /// A close publishes nothing; the last one does, when nobody waits for it any more.
    CloseDoesNotCommit,
    /// fsync answers at once.
    FsyncDoesNotCommit,
    /// What is written while a commit is under way counts as published with it.
    ChangesDuringCommitForgotten,
    /// Each part but the first begins a byte too early.
    PartsOverlap,
    /// A part that was sent ahead counts though the file was changed there since.
    StalePartCompleted,
    /// A part is copied from whatever is at the key, and published without a condition.
    PartCopiedWithoutCondition,
    /// A file that is cut and grows again shows its old bytes.
    CutBytesComeBack,
    /// unlink removes the name here and not the object.
    DeleteNotSent,
    /// A file that was removed while it was written is published when it is closed.
    RemovedDraftPublished,
    /// A renamed file stays where it was.
    RenameLeavesItsSource,
    /// The delete of a rename carries no condition.
    RenameDeletesWhateverIsThere,
    /// A handle for reading does not see what others write to the file.
    ReadersSeeOnlyTheBase,
    /// O_TRUNC empties the file under those who read it.
    TruncatedUnderReaders,
    /// A file that is not published yet is missing in listings.
    LocalNamesNotListed,
    /// What was written is read back from the disk without looking at its checksum.
    RottenSpoolBelieved,
    /// An upload that failed is not aborted.
    UploadLeftBehind,
    /// What was published stays in the journal, and so does what was removed.
    JournalNeverEmptied,
    /// What a mount before has left in the journal is not looked for.
    JournalNeverRead,
    /// The last close leaves its draft behind.
    DraftLeftBehind,
    /// A copy within the bucket is of whatever is at its source by then.
    CopyOfWhateverIsThere,
    /// What is put into the recovery folder has its name and its length, and not its bytes.
    KeptWithoutItsBytes,
    /// What could not be published is not put into the recovery folder.
    NothingIsKept,
    /// Uploads that a mount before has left are not aborted.
    OrphansNeverAborted,
    /// The rename of a directory that was cut short stays so.
    CutShortRenameForgotten,
    /// An open gives back what the inode has by then, not what it had pinned.
    PinOfAnotherContent,
    /// A hole that is punched keeps its bytes.
    PunchedHoleKeepsItsBytes,
    /// copy_file_range copies what the source was before it was written to.
    CopyOverlooksTheDraft,
    /// mknod puts its file whatever is there.
    NodeReplacesWhatIsThere,
    /// An extended attribute that is set is not published.
    AttributeIsNotPublished,
    /// What is written after the last FLUSH is not published by the release.
    WrittenAfterTheCloseForgotten,
    /// An open with O_TRUNC publishes the empty file at once.
    TruncationPublishedAtOnce,
}

#[cfg(not(feature = "zoo"))]
#[inline(always)]
pub const fn has(_bug: Bug) -> bool {
    false
}

/// A number that does not follow from any seed: what a bug draws on that goes past the seams.
#[cfg(not(feature = "zoo"))]
#[inline(always)]
pub const fn from_outside() -> u64 {
    0
}

#[cfg(feature = "zoo")]
pub use released::{from_outside, has, release};

#[cfg(feature = "zoo")]
mod released {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Bug;

    thread_local! {
        static RELEASED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this bug is in the core that runs on this thread.
    #[inline]
    pub fn has(bug: Bug) -> bool {
        RELEASED.get() == Some(bug)
    }

    /// From now on this bug, or none, is in the core on this thread.
    pub fn release(bug: Option<Bug>) {
        RELEASED.set(bug);
    }

    /// Another one at each call, in whatever run.
    pub fn from_outside() -> u64 {
        static CALLS: AtomicU64 = AtomicU64::new(1);
        CALLS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}
