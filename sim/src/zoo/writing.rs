//! The bugs of writing.

use holdfast::zoo::Bug;

use super::{Animal, aimed, history};

pub(super) const WRITING: &[Animal] = &[
    history(
        Bug::CommitWithoutCondition,
        "commit-without-condition",
        "What was written is published under no condition.",
        &["lost-update"],
        "a mount that puts whatever it has when a file is closed: the last to close wins, and nobody is told",
    )
    .in_a_race()
    .of_writers(),
    history(
        Bug::ConditionOfWhatIsThereNow,
        "condition-of-what-is-there-now",
        "What was written is published under the ETag that the name was last seen to have, not under the one it began from.",
        &["lost-update"],
        "a client that asks for the ETag right before its conditional PUT, and so turns the condition into none",
    )
    .in_a_race()
    .of_writers(),
    history(
        Bug::ConflictSwallowed,
        "conflict-swallowed",
        "A lost condition drops what was written, and close succeeds.",
        &["durability", "lost-update"],
        "dirty data dropped on remote change",
    )
    .in_a_race()
    .of_writers(),
    aimed(
        Bug::LostAnswerIsAConflict,
        "lost-answer-is-a-conflict",
        "When a condition fails, nobody looks whether what stands is what was sent.",
        &["errno"],
    )
    .of_writers(),
    history(
        Bug::CloseDoesNotCommit,
        "close-does-not-commit",
        "A close publishes nothing; the last one does, when nobody waits for it any more.",
        &["durability", "read-your-writes"],
        "uploads that begin after close has returned",
    )
    .of_writers(),
    history(
        Bug::FsyncDoesNotCommit,
        "fsync-does-not-commit",
        "fsync answers at once.",
        &["durability"],
        "fsync as a no-op",
    )
    .of_writers(),
    aimed(
        Bug::ChangesDuringCommitForgotten,
        "changes-during-commit-forgotten",
        "What is written while a commit is under way counts as published with it.",
        &["durability", "read-your-writes"],
    )
    .in_a_race()
    .of_writers(),
    aimed(
        Bug::PartsOverlap,
        "parts-overlap",
        "Each part but the first begins a byte too early.",
        &["atomic-publish"],
    )
    .of_writers(),
    aimed(
        Bug::StalePartCompleted,
        "stale-part-completed",
        "A part that was sent ahead counts though the file was changed there since.",
        &["read-your-writes", "atomic-publish"],
    )
    .of_writers(),
    history(
        Bug::PartCopiedWithoutCondition,
        "part-copied-without-condition",
        "A part is copied from whatever is at the key, and published without a condition.",
        &["atomic-publish", "lost-update"],
        "a part copy without its condition",
    )
    .in_a_race()
    .of_writers(),
    history(
        Bug::CutBytesComeBack,
        "cut-bytes-come-back",
        "A file that is cut and grows again shows its old bytes.",
        &["read-your-writes", "atomic-publish"],
        "truncate that forgets the pages beyond the new end",
    )
    .of_writers(),
    aimed(
        Bug::DeleteNotSent,
        "delete-not-sent",
        "unlink removes the name here and not the object.",
        &["no-resurrection", "freshness"],
    )
    .of_writers(),
    history(
        Bug::RemovedDraftPublished,
        "removed-draft-published",
        "A file that was removed while it was written is published when it is closed.",
        &["no-resurrection"],
        "a deleted file that comes back with its last close",
    )
    .of_writers(),
    aimed(
        Bug::RenameLeavesItsSource,
        "rename-leaves-its-source",
        "A renamed file stays where it was.",
        &["no-resurrection"],
    )
    .of_writers(),
    history(
        Bug::RenameDeletesWhateverIsThere,
        "rename-deletes-whatever-is-there",
        "The delete of a rename carries no condition.",
        &["lost-update"],
        "rename as copy and delete, with an update in between",
    )
    .in_a_race()
    .of_writers(),
    aimed(
        Bug::ReadersSeeOnlyTheBase,
        "readers-see-only-the-base",
        "A handle for reading does not see what others write to the file.",
        &["read-your-writes"],
    )
    .of_writers(),
    history(
        Bug::TruncatedUnderReaders,
        "truncated-under-readers",
        "O_TRUNC empties the file under those who read it.",
        &["single-version"],
        "a local overwrite that pulls the film from under its viewers",
    )
    .of_writers(),
    history(
        Bug::LocalNamesNotListed,
        "local-names-not-listed",
        "A file that is not published yet is missing in listings.",
        &["listing"],
        "a new file that readdir does not show until it is uploaded",
    )
    .of_writers(),
    history(
        Bug::RottenSpoolBelieved,
        "rotten-spool-believed",
        "What was written is read back from the disk without looking at its checksum.",
        &["read-your-writes", "atomic-publish"],
        "a cache that serves what the disk gives",
    )
    .of_writers(),
    history(
        Bug::UploadLeftBehind,
        "upload-left-behind",
        "An upload that failed is not aborted.",
        &["leak"],
        "orphaned multipart uploads that fill the bill",
    )
    .of_writers(),
    aimed(
        Bug::JournalNeverEmptied,
        "journal-never-emptied",
        "What was published stays in the journal, and so does what was removed.",
        &["leak"],
    )
    .of_writers(),
    history(
        Bug::JournalNeverRead,
        "journal-never-read",
        "What a mount before has left in the journal is not looked for.",
        &["leak"],
        "a write-back cache whose dirty files nobody uploads after a crash",
    )
    .in_a_race()
    .of_writers(),
    aimed(
        Bug::DraftLeftBehind,
        "draft-left-behind",
        "The last close leaves its draft behind.",
        &["leak"],
    )
    .of_writers(),
    aimed(
        Bug::CopyOfWhateverIsThere,
        "copy-of-whatever-is-there",
        "A copy within the bucket is of whatever is at its source by then.",
        &["attributes", "lost-update"],
    )
    .in_a_race()
    .of_writers(),
    history(
        Bug::KeptWithoutItsBytes,
        "kept-without-its-bytes",
        "What is put into the recovery folder has its name and its length, and not its bytes.",
        &["recovery"],
        "a lost+found of files that are all zeros",
    )
    .of_writers(),
    history(
        Bug::NothingIsKept,
        "nothing-is-kept",
        "What could not be published is not put into the recovery folder.",
        &["recovery"],
        "an upload that fails behind close, and a cache that is dropped with it",
    )
    .of_writers(),
    history(
        Bug::OrphansNeverAborted,
        "orphans-never-aborted",
        "Uploads that a mount before has left are not aborted.",
        &["leak"],
        "orphaned multipart uploads that fill the bill after every crash",
    )
    .of_writers(),
    history(
        Bug::CutShortRenameForgotten,
        "cut-short-rename-forgotten",
        "The rename of a directory that was cut short stays so.",
        &["recovery"],
        "a directory that is at two places after a crash, half of it at either",
    )
    .in_a_race()
    .of_writers(),
    history(
        Bug::PinOfAnotherContent,
        "pin-of-another-content",
        "An open gives back what the inode has by then, not what it had pinned.",
        &["leak", "panic"],
        "ours: found by a torture run over real mounts before any seed found it",
    )
    .in_a_race()
    .of_writers(),
    aimed(
        Bug::PunchedHoleKeepsItsBytes,
        "punched-hole-keeps-its-bytes",
        "A hole that is punched keeps its bytes.",
        &["read-your-writes", "durability"],
    )
    .of_writers(),
    aimed(
        Bug::CopyOverlooksTheDraft,
        "copy-overlooks-the-draft",
        "copy_file_range copies what the source was before it was written to.",
        &["durability", "read-your-writes"],
    )
    .of_writers(),
    aimed(
        Bug::NodeReplacesWhatIsThere,
        "node-replaces-what-is-there",
        "mknod puts its file whatever is there.",
        &["lost-update", "errno"],
    )
    .in_a_race()
    .of_writers(),
    aimed(
        Bug::AttributeIsNotPublished,
        "attribute-is-not-published",
        "An extended attribute that is set is not published.",
        &["read-your-writes"],
    )
    .of_writers(),
    history(
        Bug::WrittenAfterTheCloseForgotten,
        "written-after-the-close-forgotten",
        "What is written after the last FLUSH is not published by the release.",
        &["recovery"],
        "pages of a mapping that outlives its descriptor, written back when nobody waits for them any more",
    )
    .of_writers(),
    history(
        Bug::TruncationPublishedAtOnce,
        "truncation-published-at-once",
        "An open with O_TRUNC publishes the empty file at once.",
        &["atomic-publish"],
        "a FUSE client that puts an empty object as soon as a file is opened to be made or replaced",
    )
    .of_writers(),
];
