//! Runs one test on one database, and removes what it leaves behind even when it fails.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use crate::{Database, Place, TestApp};

/// Names the tests of a file that run on every database: `sqlite::name` and `postgres::name`.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { $crate::run_with_app($crate::Database::Sqlite, super::$name); })+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[test] fn $name() { $crate::run_with_app($crate::Database::Postgres, super::$name); })+
        }
    };
}

/// Names the tests of a file that need PostgreSQL, two nodes on one database for example.
#[macro_export]
macro_rules! on_postgresql {
    ($($name:ident),+ $(,)?) => {
        mod postgres {
            $(#[test] fn $name() { $crate::run_with_app($crate::Database::Postgres, super::$name); })+
        }
    };
}

/// Names the tests of a file that look at pages in a browser: on SQLite, since pages do not know
/// which database it is.
#[macro_export]
macro_rules! in_a_browser {
    ($($name:ident),+ $(,)?) => {
        mod in_a_browser {
            $(#[test] fn $name() { $crate::run_with_app($crate::Database::Sqlite, super::$name); })+
        }
    };
}

/// Like [`on_both_databases!`], for tests that start the built program themselves.
#[macro_export]
macro_rules! program_on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { $crate::run_in_place($crate::Database::Sqlite, super::$name); })+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[test] fn $name() { $crate::run_in_place($crate::Database::Postgres, super::$name); })+
        }
    };
}

/// Like [`on_both_databases!`], for tests that begin with what an older version left behind.
#[macro_export]
macro_rules! left_by_on_both_databases {
    ($version:literal: $($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { $crate::run_left_by($version, $crate::Database::Sqlite, super::$name); })+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[test] fn $name() { $crate::run_left_by($version, $crate::Database::Postgres, super::$name); })+
        }
    };
}

/// Runs a test with the product started in-process on a fresh database.
pub fn run_with_app(database: Database, test: impl AsyncFnOnce(TestApp)) {
    run(
        async move || {
            let place = match database {
                Database::Sqlite => Place::fresh(database).await,
                #[cfg(feature = "postgres")]
                Database::Postgres => Place::migrated().await,
            };
            (Arc::clone(&place), TestApp::start(&place).await)
        },
        test,
    );
}

/// Runs a test with a fresh database and nothing started on it.
pub fn run_in_place(database: Database, test: impl AsyncFnOnce(Arc<Place>)) {
    run(
        async move || {
            let place = Place::fresh(database).await;
            (Arc::clone(&place), place)
        },
        test,
    );
}

/// Runs a test with what an older version left behind.
pub fn run_left_by(version: &str, database: Database, test: impl AsyncFnOnce(Arc<Place>)) {
    run(
        async move || {
            let place = Place::left_by(version, database).await;
            (Arc::clone(&place), place)
        },
        test,
    );
}

fn run<Subject>(prepare: impl AsyncFnOnce() -> (Arc<Place>, Subject), test: impl AsyncFnOnce(Subject)) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (place, subject) = runtime.block_on(prepare());
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test(subject))));
    runtime.block_on(place.remove());
    if let Err(failure) = outcome {
        resume_unwind(failure);
    }
}
