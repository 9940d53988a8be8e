//! When the program cannot start it says why in one line, and exits with status 1.

use std::{path::Path, sync::Arc};

use countersign_tests::{Database, Place, program_on_both_databases};

program_on_both_databases![
    a_missing_master_key_is_not_replaced_by_a_new_one,
    a_master_key_of_another_database_is_refused,
    a_broken_master_key_is_refused,
    an_unreadable_master_key_is_refused,
    a_database_that_is_down_is_named,
    a_database_that_is_none_is_named,
    a_database_of_a_newer_version_is_refused,
    an_address_that_is_taken_is_named,
    the_master_key_is_for_its_owner_only,
    it_starts_again_on_what_it_left,
];

/// Serves once, which makes the keys and the tables.
fn served_once(place: &Place) {
    place.serve().stop().exits(0);
}

async fn a_missing_master_key_is_not_replaced_by_a_new_one(place: Arc<Place>) {
    served_once(&place);
    let key = place.data_dir().join("master.key");
    std::fs::remove_file(&key).expect("the key was there");
    place.cannot_serve().refuses(&["master.key"]);
    assert!(!key.exists(), "a new key would hide that the old one is gone");
}

/// The same file of a database that has nothing to do with this one.
async fn a_foreign(name: &str, place: &Place) -> Vec<u8> {
    let other = Place::fresh(Database::Sqlite).await;
    served_once(&other);
    let foreign = std::fs::read(other.data_dir().join(name)).expect("a key");
    let own = std::fs::read(place.data_dir().join(name)).expect("a key");
    assert_ne!(foreign, own);
    foreign
}

async fn a_master_key_of_another_database_is_refused(place: Arc<Place>) {
    served_once(&place);
    let foreign = a_foreign("master.key", &place).await;
    overwrite(&place.data_dir().join("master.key"), &foreign);
    place.cannot_serve().refuses(&["master key"]);
}

async fn a_broken_master_key_is_refused(place: Arc<Place>) {
    served_once(&place);
    for broken in [b"".as_slice(), b"nonsense", &[0xff; 31]] {
        overwrite(&place.data_dir().join("master.key"), broken);
        place.cannot_serve().refuses(&["master.key"]);
    }
}

async fn an_unreadable_master_key_is_refused(place: Arc<Place>) {
    served_once(&place);
    let key = place.data_dir().join("master.key");
    std::fs::remove_file(&key).expect("the key was there");
    // A folder in its place: not even root reads that.
    std::fs::create_dir(&key).expect("a folder");
    place.cannot_serve().refuses(&["master.key"]);
}

/// Keeps the file and its mode.
fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("the file is there to be written");
}

async fn a_database_that_is_down_is_named(place: Arc<Place>) {
    let url = match place.database {
        // A folder that cannot be made.
        Database::Sqlite => "sqlite:///dev/null/countersign.db",
        #[cfg(feature = "postgres")]
        Database::Postgres => "postgres://countersign@127.0.0.1:1/countersign",
    };
    place.cannot_serve_on(url).refuses(&["database"]);
}

async fn a_database_that_is_none_is_named(place: Arc<Place>) {
    let url = match place.database {
        Database::Sqlite => {
            let file = place.data_dir().join("letters.db");
            std::fs::write(&file, "these are letters, not a database. ".repeat(200)).expect("a file");
            format!("sqlite://{}", file.display())
        }
        #[cfg(feature = "postgres")]
        Database::Postgres => format!("{}_that_is_not_there", place.url()),
    };
    place.cannot_serve_on(&url).refuses(&["database"]);
}

async fn a_database_of_a_newer_version_is_refused(place: Arc<Place>) {
    served_once(&place);
    pretend_a_newer_version(&place).await;
    place.cannot_serve().refuses(&["newer"]);
}

/// Copies the row of the last migration under a version that this program does not have.
#[cfg_attr(
    not(feature = "postgres"),
    expect(clippy::unused_async, reason = "only PostgreSQL is asked over the network")
)]
async fn pretend_a_newer_version(place: &Place) {
    const COPY: &str = "CREATE TEMPORARY TABLE newest AS \
        SELECT * FROM TABLE_NAME ORDER BY version DESC LIMIT 1; \
        UPDATE newest SET version = version + 1000; \
        INSERT INTO TABLE_NAME SELECT * FROM newest;";
    match place.database {
        Database::Sqlite => {
            let path = place.url().trim_start_matches("sqlite://");
            let connection = rusqlite::Connection::open(path).expect("the database");
            let table: String = connection
                .query_row(
                    "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%migration%'",
                    [],
                    |row| row.get(0),
                )
                .expect("a table of migrations");
            let copy = COPY.replace("TABLE_NAME", &table);
            connection.execute_batch(&copy).expect("a later migration");
        }
        #[cfg(feature = "postgres")]
        Database::Postgres => {
            let mut connection = countersign_tests::postgres::connect(place.url()).await;
            let table: String = sqlx::query_scalar(
                "SELECT table_name::text FROM information_schema.tables \
                 WHERE table_schema = 'public' AND table_name LIKE '%migration%'",
            )
            .fetch_one(&mut connection)
            .await
            .expect("a table of migrations");
            let copy = COPY.replace("TABLE_NAME", &table);
            countersign_tests::postgres::run(&mut connection, &copy).await;
        }
    }
}

async fn an_address_that_is_taken_is_named(place: Arc<Place>) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    place.cannot_listen_on(&address).refuses(&[&address]);
}

async fn the_master_key_is_for_its_owner_only(place: Arc<Place>) {
    use std::os::unix::fs::PermissionsExt as _;

    served_once(&place);
    let metadata = std::fs::metadata(place.data_dir().join("master.key")).expect("a key");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

async fn it_starts_again_on_what_it_left(place: Arc<Place>) {
    served_once(&place);
    let key = place.create_api_key("first", &["users:write", "users:read"]);
    let serving = place.serve();
    let app = countersign_tests::TestApp::of_program(&place, &serving, &key);
    let ada = app.register("Ada").await;
    serving.stop().exits(0);
    let serving = place.serve();
    let app = countersign_tests::TestApp::of_program(&place, &serving, &key);
    assert_eq!(app.user(&ada).await["email"], ada.email);
}
