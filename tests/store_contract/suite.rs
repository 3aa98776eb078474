//! The table of cases, and how one store is taken through it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use holdfast::env::Store;

use crate::backends::Backend;
use crate::cases::{conditions, copies, in_flight, keys, listing, objects, ranges, uploads, versions, writes};

/// A store that hangs is a store that fails.
const CASE_MAX: Duration = Duration::from_secs(120);

/// What a case gets: an empty bucket of its own.
pub struct Bucket<S> {
    pub store: S,
    pub versioned: bool,
    /// The store completes uploads but does not answer so that it could be understood (a listed deviation): other cases
    /// then look at what became of the object, as the core does after an ambiguous answer.
    pub completions_unreadable: bool,
}

/// The case that says whether completions can be understood.
const COMPLETION_CASE: &str = "the_answer_to_a_completion_tells_what_it_created";

type Run<S> = fn(Arc<Bucket<S>>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

struct Case<S> {
    name: &'static str,
    /// With which kinds of buckets it makes sense.
    buckets: &'static [bool],
    run: Run<S>,
}

const BOTH: &[bool] = &[false, true];
const VERSIONED: &[bool] = &[true];
const UNVERSIONED: &[bool] = &[false];

macro_rules! table {
    ($($buckets:ident: $module:ident { $($name:ident,)* })*) => {
        fn table<S: Store>() -> Vec<Case<S>> {
            vec![$($(Case {
                name: stringify!($name),
                buckets: $buckets,
                run: |bucket| Box::pin(async move { $module::$name(&*bucket).await }),
            },)*)*]
        }
    };
}

table! {
    BOTH: objects {
        what_was_put_is_got_and_headed,
        an_empty_object_is_an_object,
        a_missing_object_is_not_found,
        attributes_come_back_as_they_were_given,
        an_overwrite_replaces_bytes_and_attributes,
        equal_bytes_keep_the_etag_and_other_bytes_change_it,
        a_large_object_arrives_whole,
    }
    BOTH: ranges {
        a_range_within_delivers_its_bytes,
        a_range_is_cut_at_the_end,
        a_range_from_delivers_the_rest,
        a_range_of_the_last_bytes_delivers_them,
        a_range_past_the_end_is_not_satisfiable,
        any_range_of_an_empty_object_is_not_satisfiable,
    }
    BOTH: conditions {
        if_match_lets_only_that_etag_through,
        if_match_of_anything_lets_any_object_through,
        if_none_match_lets_only_other_etags_through,
        if_modified_since_lets_only_younger_objects_through,
        if_unmodified_since_lets_only_older_objects_through,
        if_match_overrides_if_unmodified_since,
        if_none_match_overrides_if_modified_since,
        conditions_hold_for_ranges_too,
        a_condition_on_a_missing_object_is_not_found,
    }
    BOTH: writes {
        a_put_if_absent_creates_but_never_replaces,
        a_put_if_match_replaces_only_that_etag,
        a_put_if_match_of_a_missing_object_is_not_found,
        a_deleted_object_is_gone,
        deleting_what_is_not_there_succeeds,
        a_delete_if_match_deletes_only_that_etag,
        many_deletes_delete_all_and_do_not_mind_missing_ones,
        many_deletes_delete_odd_keys_too,
    }
    VERSIONED: versions {
        every_write_has_a_version_of_its_own,
        a_version_is_got_by_its_id_after_an_overwrite,
        a_version_is_got_by_its_id_after_a_delete,
        a_delete_adds_a_marker,
        deleting_a_marker_brings_the_object_back,
        deleting_a_version_leaves_the_others,
        an_unknown_version_is_not_found,
        versions_are_listed_by_key_and_newest_first,
        versions_are_listed_in_pages,
    }
    UNVERSIONED: versions {
        without_versions_there_are_no_version_ids,
        without_versions_the_listing_calls_every_version_null,
    }
    BOTH: in_flight {
        a_get_in_flight_keeps_its_version_over_an_overwrite,
        a_get_in_flight_keeps_its_version_over_a_delete,
        a_body_may_be_dropped_half_read,
    }
    BOTH: keys {
        odd_keys_are_stored_and_listed_under_their_own_name,
        keys_with_control_characters_are_stored_and_listed,
        keys_with_slashes_at_odd_places_are_stored_and_listed,
        dot_keys_are_stored_and_listed,
        keys_with_line_feeds_are_stored_and_listed,
        a_key_of_1024_bytes_is_stored_and_listed,
        odd_keys_are_copied,
        odd_keys_are_uploaded_in_parts,
    }
    BOTH: listing {
        an_empty_bucket_lists_nothing,
        a_listing_tells_what_head_tells,
        a_prefix_limits_the_listing,
        a_delimiter_rolls_up,
        a_delimiter_after_a_prefix_rolls_up_the_rest,
        start_after_skips_it_and_all_before,
        odd_prefixes_and_delimiters_work,
        keys_come_in_byte_order,
        a_listing_of_2500_keys_comes_in_pages,
        rolled_up_prefixes_come_once_across_pages,
    }
    BOTH: copies {
        a_copy_has_the_bytes_and_attributes_of_its_source,
        a_copy_may_replace_the_attributes,
        a_copy_onto_itself_replaces_the_attributes,
        a_copy_of_a_missing_object_is_not_found,
        a_copy_obeys_the_conditions_on_its_source,
        a_copy_obeys_the_conditions_on_its_target,
    }
    VERSIONED: copies {
        a_copy_of_an_old_version_has_the_old_bytes,
    }
    BOTH: uploads {
        an_upload_becomes_an_object_when_it_is_completed,
        the_answer_to_a_completion_tells_what_it_created,
        a_part_sent_again_replaces_the_first,
        parts_may_be_copied_from_an_object,
        a_copied_part_obeys_the_conditions_on_its_source,
        an_aborted_upload_leaves_nothing,
        an_unknown_upload_is_no_such_upload,
        a_completion_if_absent_never_replaces,
        a_completion_if_match_replaces_only_that_etag,
        uploads_in_progress_are_listed_under_their_prefix,
    }
    VERSIONED: uploads {
        parts_may_be_copied_from_an_old_version,
    }
}

/// Runs every case on `backend` and reports all failures together.
pub fn run<B: Backend>(backend: &B) {
    let deviations: BTreeMap<_, _> = B::DEVIATIONS.iter().copied().collect();
    let table = table::<B::Store>();
    let mut failed = Vec::new();
    for known in deviations.keys() {
        if !table.iter().any(|case| case.name == *known) {
            failed.push(format!("{known}: listed as a deviation, but there is no such case"));
        }
    }
    let completions_unreadable = deviations.contains_key(COMPLETION_CASE);
    let mut runs = 0;
    for case in &table {
        let mut passed = true;
        for &versioned in case.buckets {
            runs += 1;
            let bucket = Arc::new(Bucket { store: backend.bucket(versioned), versioned, completions_unreadable });
            if let Err(reason) = run_case(case, bucket) {
                passed = false;
                if !deviations.contains_key(case.name) {
                    let kind = if versioned { "with" } else { "without" };
                    failed.push(format!("{} ({kind} versions): {reason}", case.name));
                }
            }
        }
        if passed && deviations.contains_key(case.name) {
            failed.push(format!("{}: passes, so it is no deviation any more: take it off the list", case.name));
        }
    }
    println!("{}: {runs} runs of {} cases, {} listed deviations", B::NAME, table.len(), deviations.len());
    assert!(failed.is_empty(), "{} breaks the contract:\n  {}", B::NAME, failed.join("\n  "));
}

/// Runs one case on a thread of its own that knows no tokio: a store must bring what it needs.
fn run_case<S: Store>(case: &Case<S>, bucket: Arc<Bucket<S>>) -> Result<(), String> {
    let (done, wait) = channel();
    let future = (case.run)(bucket);
    let thread = thread::Builder::new().name(case.name.into()).spawn(move || {
        block_on(future);
        // The receiver may have given up.
        let _ = done.send(());
    });
    let thread = thread.expect("a thread can be started");
    match wait.recv_timeout(CASE_MAX) {
        Ok(()) => Ok(()),
        Err(RecvTimeoutError::Timeout) => Err(format!("not finished after {} s", CASE_MAX.as_secs())),
        Err(RecvTimeoutError::Disconnected) => {
            let panic = thread.join().expect_err("a thread that ends without a word has panicked");
            let words = panic.downcast_ref::<String>().cloned();
            Err(words.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default())
        }
    }
}

/// The simplest executor there is.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
