//! What becomes of an audit trail of which much differs: on PostgreSQL a filled table takes its place.

use super::*;

#[tokio::test]
async fn a_trail_that_is_replaced_as_a_whole_keeps_its_indexes_and_who_may_read_it() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        history(&database, 3).await;
        catch_up(&AuditTrail, &database, 6).await.unwrap();
        let described = match database.engine() {
            Engine::Sqlite(_) => {
                "SELECT CAST(name || coalesce(sql, '') AS text) AS line FROM sqlite_schema \
                 WHERE tbl_name = 'audit_trail_v1' ORDER BY name"
            }
            Engine::Postgres(_) => {
                database.write("GRANT SELECT, INSERT ON audit_trail_v1 TO pg_monitor", &[]).await.unwrap();
                "SELECT indexname || ' ' || indexdef AS line FROM pg_indexes WHERE tablename = 'audit_trail_v1' \
                 UNION ALL SELECT conname || ' ' || contype::text FROM pg_constraint \
                 WHERE conrelid = 'audit_trail_v1'::regclass \
                 UNION ALL SELECT relpersistence::text || ' ' || relacl::text FROM pg_class \
                 WHERE oid = 'audit_trail_v1'::regclass ORDER BY line"
            }
        };
        let lines = async || {
            let rows = database.read(described, &[]).await.unwrap();
            rows.iter().map(|row| row.get::<String>("line").unwrap()).collect::<Vec<_>>()
        };
        let before = lines().await;
        assert!(before.len() > 6, "{before:?}");
        for (gone, rows) in [("position >= 0", 6), ("position = 3", 1), ("position > 1", 4)] {
            database.write(&format!("DELETE FROM audit_trail_v1 WHERE {gone}"), &[]).await.unwrap();
            let rebuilt = rebuild(&database, &[Model::AuditTrail], |_, _| {}).await.unwrap();
            assert_eq!(rebuilt.replaced, [(Model::AuditTrail, rows)]);
            assert_eq!(lines().await, before);
            assert!(verify_replay(&database, &[Model::AuditTrail], |_, _| {}).await.unwrap().holds());
        }
        assert_eq!(catch_up(&AuditTrail, &database, 6).await.unwrap(), CaughtUp::To(6));
    }
}

/// A history of which the trail lacks most, so that on PostgreSQL its table would be replaced.
async fn with_half_a_trail(database: &Database) {
    history(database, 3).await;
    catch_up(&AuditTrail, database, 6).await.unwrap();
    database.write("DELETE FROM audit_trail_v1 WHERE position > 1", &[]).await.unwrap();
}

async fn trail_is_rebuilt(database: &Database) {
    let rebuilt = rebuild(database, &[Model::AuditTrail], |_, _| {}).await.unwrap();
    assert_eq!(rebuilt.replaced, [(Model::AuditTrail, 4)]);
    assert!(verify_replay(database, &[Model::AuditTrail], |_, _| {}).await.unwrap().holds());
}

async fn table_number(database: &Database) -> i64 {
    let sql = "SELECT CAST('audit_trail_v1'::regclass::oid AS bigint) AS number";
    database.read(sql, &[]).await.unwrap()[0].get("number").unwrap()
}

#[tokio::test]
async fn a_trail_that_somebody_reads_for_long_is_mended_row_by_row() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        with_half_a_trail(&database).await;
        let Engine::Postgres(postgres) = database.engine() else {
            trail_is_rebuilt(&database).await;
            continue;
        };
        let before = table_number(&database).await;
        // As a backup does.
        let mut reader = postgres.begin().await.unwrap();
        sqlx::query("SELECT count(*) FROM audit_trail_v1").execute(&mut *reader).await.unwrap();
        trail_is_rebuilt(&database).await;
        assert_eq!(table_number(&database).await, before);
        drop(reader);
        database.write("DELETE FROM audit_trail_v1 WHERE position > 1", &[]).await.unwrap();
        trail_is_rebuilt(&database).await;
        assert_ne!(table_number(&database).await, before, "with no reader the table is replaced");
    }
}

#[tokio::test]
async fn a_view_of_the_trail_outlives_a_rebuild() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        with_half_a_trail(&database).await;
        database.write("CREATE VIEW reported AS SELECT position FROM audit_trail_v1", &[]).await.unwrap();
        trail_is_rebuilt(&database).await;
        let counted = database.read("SELECT count(*) AS counted FROM reported", &[]).await.unwrap();
        assert_eq!(counted[0].get::<i64>("counted").unwrap(), 6);
    }
}

#[tokio::test]
async fn what_new_tables_are_granted_to_is_not_what_the_trail_is() {
    for fresh in fresh_databases().await.unwrap() {
        let database = fresh.database;
        with_half_a_trail(&database).await;
        let Engine::Postgres(_) = database.engine() else { continue };
        database.write("GRANT SELECT ON audit_trail_v1 TO pg_monitor", &[]).await.unwrap();
        let by_default = "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO pg_monitor, PUBLIC";
        database.write(by_default, &[]).await.unwrap();
        trail_is_rebuilt(&database).await;
        let granted = "SELECT string_agg(DISTINCT privilege_type, ' ') AS granted \
                       FROM pg_class, aclexplode(relacl) \
                       WHERE oid = 'audit_trail_v1'::regclass AND grantee <> relowner";
        let granted = database.read(granted, &[]).await.unwrap();
        assert_eq!(granted[0].get::<String>("granted").unwrap(), "SELECT");
    }
}
