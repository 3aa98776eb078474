//! Points that a long enough simulation must reach: proof that it gets everywhere, not only that it finds nothing.
//!
//! `sometimes!(HopBegun)` costs nothing without the feature `marks`, which the simulator turns on. Counts are per thread,
//! because a simulation is one thread, and never influence what the core does.

macro_rules! marks {
    ($($(#[$doc:meta])* $name:ident: $sentence:literal,)*) => {
        /// A point in the core.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark {
            $($(#[$doc])* $name,)*
        }

        impl Mark {
            pub const ALL: &[Mark] = &[$(Mark::$name,)*];

            pub fn name(self) -> &'static str {
                match self { $(Mark::$name => stringify!($name),)* }
            }

            /// What has happened where it is reached.
            pub fn sentence(self) -> &'static str {
                match self { $(Mark::$name => $sentence,)* }
            }
        }
    };
}

marks! {
    ReadersDisplaced: "a name was given a fresh inode because others had the file open",
    ObservedBeneathLocal: "the bucket was seen to change beneath a name with changes of our own",
    WrittenToSpool: "what was written moved to the disk",
    RottenSpool: "the disk gave back other bytes than were written",
    LostAnswerFound: "a mutation whose answer was lost was found applied",
    UploadVanished: "an upload was aborted by somebody else",
    PartCopied: "a part was copied within S3",
    KeptForRecovery: "what could not be published was kept",
    UploadBegunAhead: "an upload was begun while its file was still being written",
    PartSentAhead: "a part was sent while its file was still being written",
    PartSentInVain: "what was sent ahead was overwritten or cut off before the file was published",
    AttributesFollowed: "attributes were set after the upload was begun, and followed by a copy",
    StoredInJournal: "what was closed was put into the journal",
    JournalFull: "the journal had no room, and a close waited for S3",
    PublishedBehind: "what was closed was published behind it",
    PublishedFromJournal: "what a mount before had left in the journal was published",
    FoundPublished: "what was left in the journal had been published already",
    FoundOlder: "an older publication of what was left in the journal stood there",
    AnchorForNobody: "an anchor came when those it was for had closed the file",
    UnlinkOfAnother: "an unlink waited for a commit that lost its condition, and looked again",
    PinOfWhatChanged: "a pin led to a file that this mount had changed meanwhile",
    AskedWhereItWas: "a file was renamed while it was asked for under its old name",
    PinnedWhileRenamed: "while a file was renamed, another one came to its name",
    RangeCopied: "a file was begun as a copy of another",
    CopiedFileReplaced: "the file that another was begun as a copy of was replaced before that was published",
    LogLetGo: "a long file that was published is read from the bucket again",
    HeldBeforeOwnChange: "a GET began for those who have open what this mount replaces or removes",
    ReadFollowedRename: "a read went on at the key to which its file was renamed",
    LocalNameListed: "a listing named a file that is not published yet",
    RemovedBeforeItStood: "a file was removed that was never published",
    SourceOfRenameReplaced: "what was renamed was replaced meanwhile at its old name",
    WaitedForRename: "a change waited for the rename of a directory above it",
    DirectoryRevived: "a file was made in a directory that the bucket has no more",
    Seeded: "what was published stayed at hand",
    NamelessUploadAborted: "an upload was aborted whose beginning was not answered before its mount ended",
    OrphanAborted: "an upload that an earlier mount had left was aborted",
    RenameResumed: "a rename that an earlier mount had begun was finished",
    MarkerChangedMeanwhile: "a directory's attributes were set while somebody else changed its marker",
    OpenOfOwnAttributes: "an open waited for attributes that this mount was publishing",
    MovedWhileMadeOfAnother: "a file that is made of another was moved, or found published, before that was published",
    AwaitedAndPublished: "a file that was truncated as it was opened was published before that open came back",
    OpenPassedByItsMount: "while a file was opened its own mount published over that, and nobody held what it published",
    BucketMovedOnBeneath: "changes came to nothing of a file that was replaced in the bucket meanwhile",
    TargetOfRenameReplaced: "what stood at the target of a rename was another by the time of its copy",
    TargetOfMoveTaken: "somebody put something at the new key of a file in a directory that is renamed",
    PublishedForItsReaders: "what was closed was published before an open truncated it, because others read it",
    DraftMetWhatStands: "an open found that the bucket had moved on from what its own mount had changed",
    LandedAfterItsClose: "what was found published is newer than what was closed, which is published no more",
    AskedBeforeItWasLetGo: "a name was told of by an answer older than what had been known of it, and was let go",
    TruncationTakenBack: "a truncation by path could not be published, and the file was made again what it was",
    MovedAnotherVersion: "a directory was renamed, and others had replaced a file in it meanwhile",
    VanishedDirectoryMoved: "a directory was renamed, and one in it had vanished from the bucket while somebody had it",
    StrayMoved: "a directory was renamed while somebody read by another inode what a name in it still stood for",
    DirectoryReappeared: "a directory of which nothing was left came back while somebody was in it",
    KeptWithoutItsBase: "the recovery folder had no room for what was not written of a file",
    WaitedInLine: "a body was made only when others had been sent",
    ReadersLedOn: "what others read was asked for again when this mount had published it",
    LookedAtWhileRenamed: "somebody asked for a name beneath a directory that was being renamed",
    TruncatedForItsWriter: "truncate(2) by path left it to whoever writes the file to publish that",
    DoubtedWhileWaiting: "an open with O_TRUNC waited, and looked again at what it opens",
    LocalBeforeItsPin: "what was to wait for an open was older than what this mount had made of the name",
    SourceIsAnother: "what was to be renamed had become another file",
    ReplacedRightAfterItsRename: "what was renamed was replaced there before those who had it open had a GET of it",
    ReadWaitedForItsCommit: "bytes that a file began from were replaced by its own publication while they were read",
    ListingMoved: "a directory was renamed while it was listed",
    AnswerOfAnotherKey: "a directory above a name was renamed while the bucket was asked for it",
    LedToItsNewName: "those who had a file open while it was renamed were given a GET at its new name",
    OpenedWhileReplaced: "an open took a version that it saw while this mount replaced what was there",
    OpenedBeforeItWasKnown: "a file was opened by a name before it was known here that a rename had given it that name",
    OpenOfOwnPredecessor: "an open was answered with what this mount replaced meanwhile",
    LostUpdate: "a publication found another version in its place",
    GivenUp: "the last close could not publish what was written",
    LogCompacted: "a log that was mostly garbage was rewritten",
    HopBegun: "a relay set up its next stretch",
    HopDone: "every GET of a hop had begun, and the old anchor was cut",
    HopLost: "a stream of a hop died before the hop was done",
    HopCutShort: "the object was replaced while a hop was being set up",
    StreamResumed: "a broken body was resumed at its byte",
    StreamStalled: "a stream brought no byte for so long that another GET was tried",
    StreamLost: "the rest of a replaced version was lost",
    StreamPaused: "a stream paused at its limit",
    Trickled: "a paused stream read on a little",
    Renewed: "a paused stream's GET was replaced by a new one",
    BodyTooLong: "a body went on past its range",
    IntoLifeboat: "bytes were saved in a lifeboat",
    FromLifeboat: "a read was served from a lifeboat",
    RottenLifeboat: "a lifeboat's disk gave back other bytes than it was given",
    LifeboatRefused: "a lifeboat was refused",
    Spilled: "an extent moved from memory into a lifeboat",
    Swept: "an extent was given up for memory",
    MemoryOverdrawn: "room was granted beyond the budget",
    ReadAcrossPieces: "a read was joined of several pieces",
    ReadLost: "a read was told that its bytes are out of reach",
    RandomReader: "a reader that stays random lost its anchor",
    BoundedFetch: "a random read fetched a bounded piece",
    SupersededWhileOpen: "a held object was replaced",
    SupersededByInquiry: "what replaced a held version was asked for",
    OpenPinned: "an open found another version and pinned it",
    OpenTookPin: "an open took what an earlier one had pinned",
    PinExpired: "a pin was let go unused",
    OpenWarm: "an open asked nothing",
    OpenAbsent: "an open found its object gone",
    KeptAnchor: "an open started a kept anchor",
    Repinned: "an inode of which the kernel knows only the name got another version",
    LookupContradicted: "answers that contradict each other were asked again",
    LookupNegative: "a look-up answered that a name is absent",
    ListingDirectoryShadows: "a listing showed a directory in place of a file",
    ListingPageOutOfOrder: "a listing page did not follow the one before",
    NamesPruned: "idle names of a directory were dropped",
    Throttled: "the whole mount slowed down",
    RetriesShort: "a retry waited for the budget of retries",
    NonsenseRefused: "an answer that does not fit was not believed",
    HopWithoutMemory: "a hop was put off because memory was short",
    StreamMadeRoom: "the stream unused for longest made room for another",
    StreamRefused: "a GET of a held version was told that it is gone",
    OpenedToWriteBefore: "a file that was only opened to write before was opened for reading",
    AskedWithoutItsId: "a version whose id is gone was asked for by its ETag",
    StreamGaveUp: "a stream failed at its deadline",
    ReaderToldOfFailure: "a reader was told why its stream failed",
    PausedStreamWanted: "a reader waited for a stream that was paused",
    BytesForStoppedStream: "bytes arrived for a stream that nobody wants any more",
    BytesHeldAlready: "a stream brought bytes that another had brought",
    BodyTooShort: "a body ended before its range did",
    BrokeWhilePacking: "a body broke while its bytes were being packed for the lifeboat",
    SavedTwice: "a lifeboat was given bytes that it had",
    HoldMaxUsedUp: "`--hold-max` was used up",
    DiskShareUsedUp: "a lifeboat would have filled the disk",
    ClosedWhileDraining: "a file was closed while its replaced version was being drained",
    ClosedWhileSpilling: "a file was closed while an extent was on its way into the lifeboat",
    PagesAskedForAgain: "the kernel asked again for what it had been given",
    SameBytesAgain: "a held object was put again with the same bytes",
    PinnedBesideItsName: "an open was given a version that others had seen contradicted",
    ShadowedKeepsItsName: "an inode that a directory shadows waits for what its name becomes",
    ShadowedWhileHeld: "a directory took the name of a held object",
    OpenOfReplaced: "an open met an inode known to be replaced",
    OpenOvertaken: "a cold open was overtaken by news of a newer version",
    PinWasFaster: "a cold open found that a pin had given its inode a content",
    KeptAnchorTooLate: "the object was replaced before its kept anchor had begun",
    CameBack: "a name went back to a version that had been replaced",
    ForgetOvertaken: "a forget left look-ups that were counted since",
    LookupUnsettled: "answers contradicted each other until the look-up took what stood",
    HeldBackAcrossNames: "a listing held a file back while other names passed",
    ListingOfPages: "a listing had another page",
    ListingContradicted: "a listed name was older news than what is known",
    ListedNameGone: "a listed name was gone when it was told of",
    ListedNameTurned: "a listed file was a directory when it was told of, or the reverse",
    GaveUp: "an operation gave up at its deadline",
}

/// Notes that this point was reached.
macro_rules! sometimes {
    ($name:ident) => {
        $crate::marks::reach($crate::marks::Mark::$name)
    };
}
pub(crate) use sometimes;

#[cfg(not(feature = "marks"))]
#[inline(always)]
pub fn reach(_mark: Mark) {}

#[cfg(feature = "marks")]
pub use counted::{reach, take};

#[cfg(feature = "marks")]
mod counted {
    use std::cell::Cell;

    use super::Mark;

    const MARKS: usize = Mark::ALL.len();

    thread_local! {
        static COUNTS: [Cell<u64>; MARKS] = const { [const { Cell::new(0) }; MARKS] };
    }

    pub fn reach(mark: Mark) {
        COUNTS.with(|counts| {
            let count = &counts[mark as usize];
            count.set(count.get().saturating_add(1));
        });
    }

    /// How often each point was reached on this thread since the last call.
    pub fn take() -> Vec<(Mark, u64)> {
        COUNTS.with(|counts| Mark::ALL.iter().map(|&mark| (mark, counts[mark as usize].take())).collect())
    }
}
