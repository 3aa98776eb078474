//! A world's own promises.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use holdfast::env::{Clock as _, Env as _};

use super::World;
use crate::content::version;
use crate::{KIB, Mutation};

#[test]
fn a_panic_in_the_background_fails_the_story_at_its_end() {
    let story = catch_unwind(|| {
        let mut w = World::calm();
        w.handle().spawn("bad", async { panic!("as asked") });
        w.wait(Duration::from_secs(1));
    });
    let message = *story.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("bad") && message.contains("as asked"), "{message}");
}

#[test]
fn a_panic_that_the_story_expects_does_not_fail_it() {
    let mut w = World::calm();
    w.expect_panics();
    w.handle().spawn("bad", async { panic!("as asked") });
    w.wait(Duration::from_secs(1));
    assert_eq!(w.take_panics().len(), 1);
}

#[test]
fn waiting_moves_both_clocks() {
    let mut w = World::calm();
    let before = w.env().clock().unix_seconds();
    w.wait(Duration::from_secs(90));
    assert_eq!(w.env().clock().now().0, Duration::from_secs(90));
    assert_eq!(w.env().clock().unix_seconds(), before + 90);
}

#[test]
fn the_history_tells_what_a_key_held_and_when() {
    let mut w = World::versioned();
    w.s3().put("film", version(1), KIB);
    w.wait(Duration::from_secs(1));
    w.s3().replace("film", version(2), 2 * KIB);
    w.s3().apply(Mutation::purge("film"));
    let versions: Vec<_> = w.history().of("film").iter().map(|c| c.now.as_ref().map(|p| p.version.0)).collect();
    assert_eq!(versions, [Some(1), Some(2), Some(1)]);
    assert_eq!(w.history().size_of("film", version(2)), Some(2 * KIB));
    w.s3().delete("film");
    assert_eq!(w.history().current("film"), None);
}

#[test]
fn replacing_what_is_not_there_is_a_mistake_in_the_story() {
    let w = World::calm();
    assert!(catch_unwind(AssertUnwindSafe(|| w.s3().replace("film", version(2), KIB))).is_err());
}
