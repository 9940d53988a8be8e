//! Lists: every item once and in order, page by page, and what a list of members says of each.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use countersign_tests::{
    Agreement, Answer, Person, TestApp,
    answer::{string, time},
    on_both_databases,
};
use serde_json::Value;

on_both_databases![
    users_are_listed_page_by_page,
    agreements_are_listed_page_by_page,
    members_are_listed_page_by_page,
    a_preview_lists_whom_it_reaches_page_by_page,
    a_preview_lists_a_person_of_several_agreements_once,
    a_page_has_one_to_500_items,
    members_are_filtered_by_two_factor_page_by_page,
    a_member_of_an_agreement_that_requires_nothing_is_not_overdue,
    a_member_is_overdue_since_the_tick,
    somebody_linked_after_the_tick_is_overdue_since_then,
    a_member_is_overdue_since_the_administrators_tick,
    a_member_is_overdue_since_the_administration_where_that_began_after_the_tick,
    the_earlier_of_two_ticks_counts,
    before_the_deadline_two_factor_is_required_and_not_overdue,
    a_member_with_two_factor_is_not_overdue,
    once_unticked_nobody_is_overdue,
];

const NAMES: [&str; 5] = ["Ada", "Grace", "Edith", "Mary", "Joan"];

/// Reads two at a time; every page but the last is full and says where the next begins.
async fn pages(app: &TestApp, path: &str, items: &str) -> Vec<Answer> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    for _ in 0..10 {
        let separator = if path.contains('?') { '&' } else { '?' };
        let page = app.get(&format!("{path}{separator}limit=2{cursor}"), &app.key).await.expect(200);
        let next = page["next_cursor"].as_str().map(|next| format!("&cursor={next}"));
        let size = page[items].as_array().map_or(0, Vec::len);
        pages.push(page);
        match next {
            Some(next) => {
                assert_eq!(size, 2, "a page before the last is full");
                cursor = next;
            }
            None => return pages,
        }
    }
    panic!("the pages of {path} never end");
}

fn ids(pages: &[Answer], items: &str, id: &str) -> Vec<String> {
    let of_page = |page: &Answer| page[items].as_array().cloned().unwrap_or_default();
    pages.iter().flat_map(of_page).map(|item| string(&item[id])).collect()
}

/// Five items on three pages, in the order of their ids; all of them on one page that ends there.
async fn five_on_three_pages(app: &TestApp, path: &str, items: &str, id: &str, expected: &[String]) {
    let expected: Vec<String> = expected.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(expected.len(), 5);
    let paged = pages(app, path, items).await;
    assert_eq!(paged.len(), 3);
    assert_eq!(ids(&paged, items, id), expected);
    for limit in ["", "?limit=5", "?limit=500"] {
        let whole = app.get(&format!("{path}{limit}"), &app.key).await.expect(200);
        assert_eq!(whole["next_cursor"], Value::Null, "{}", whole.text);
        assert_eq!(ids(&[whole], items, id), expected);
    }
}

/// Five people.
async fn people(app: &TestApp) -> Vec<Person> {
    let mut people = Vec::new();
    for name in NAMES {
        people.push(app.register(name).await);
    }
    people
}

/// Five people of one agreement.
async fn members(app: &TestApp) -> (Agreement, Vec<Person>) {
    let agreement = app.agreement("Havbris").await;
    let people = people(app).await;
    for person in &people {
        app.link(&agreement, person).await;
    }
    (agreement, people)
}

fn of_people(people: &[Person]) -> Vec<String> {
    people.iter().map(|person| person.id.clone()).collect()
}

async fn users_are_listed_page_by_page(app: TestApp) {
    let people = people(&app).await;
    five_on_three_pages(&app, "/v1/users", "items", "id", &of_people(&people)).await;
}

async fn agreements_are_listed_page_by_page(app: TestApp) {
    let mut expected = Vec::new();
    for name in NAMES {
        expected.push(app.agreement(name).await.id);
    }
    five_on_three_pages(&app, "/v1/agreements", "items", "id", &expected).await;
}

async fn members_are_listed_page_by_page(app: TestApp) {
    let (agreement, people) = members(&app).await;
    // Neither of another agreement nor of none.
    let eve = app.register("Eve").await;
    app.link(&app.agreement("Nordlys").await, &eve).await;
    app.register("Mallory").await;
    five_on_three_pages(&app, &agreement.path("/users"), "items", "user_id", &of_people(&people)).await;
}

async fn a_preview_lists_whom_it_reaches_page_by_page(app: TestApp) {
    let (agreement, people) = members(&app).await;
    app.enrol_and_confirm(&people[3]).await;
    app.register("Eve").await;
    let path = agreement.path("/enforcement/preview");
    five_on_three_pages(&app, &path, "users", "user_id", &of_people(&people)).await;
    for page in pages(&app, &path, "users").await {
        assert_eq!(page["affected_users"], 5, "the whole reach, on every page");
        assert_eq!(page["without_two_factor"], 4);
    }
}

async fn a_preview_lists_a_person_of_several_agreements_once(app: TestApp) {
    let accountant = app.administrator("Nordlys").await;
    let clients =
        [app.administered("Havbris", &accountant).await, app.administered("Fjord", &accountant).await];
    let people = people(&app).await;
    for (number, person) in people.iter().enumerate() {
        app.link(&clients[number % 2], person).await;
        app.link(&accountant, person).await;
    }
    app.link(&clients[1], &people[0]).await;
    let path = accountant.path("/enforcement/preview");
    five_on_three_pages(&app, &path, "users", "user_id", &of_people(&people)).await;
    let preview = app.preview(&accountant).await;
    assert_eq!(preview["affected_users"], 5, "{}", preview.text);
}

async fn a_page_has_one_to_500_items(app: TestApp) {
    let (agreement, _) = members(&app).await;
    let members = agreement.path("/users");
    let preview = agreement.path("/enforcement/preview");
    for path in ["/v1/users", "/v1/agreements", &members, &preview] {
        for limit in ["0", "501", "4294967295"] {
            let refused = app.get(&format!("{path}?limit={limit}"), &app.key).await;
            refused.refused(400, "malformed-request");
        }
        for limit in ["-1", "two", "4294967296"] {
            app.get(&format!("{path}?limit={limit}"), &app.key).await.refused(400, "malformed-request");
        }
        for limit in ["1", "500"] {
            app.get(&format!("{path}?limit={limit}"), &app.key).await.expect(200);
        }
    }
}

async fn members_are_filtered_by_two_factor_page_by_page(app: TestApp) {
    let (agreement, people) = members(&app).await;
    for person in [&people[1], &people[4]] {
        app.enrol_and_confirm(person).await;
    }
    let sorted = |numbers: &[usize]| -> Vec<String> {
        numbers.iter().map(|number| people[*number].id.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let without = pages(&app, &agreement.path("/users?without_two_factor=true"), "items").await;
    assert_eq!(ids(&without, "items", "user_id"), sorted(&[0, 2, 3]));
    assert_eq!(without.len(), 2);
    let with = pages(&app, &agreement.path("/users?without_two_factor=false"), "items").await;
    assert_eq!(ids(&with, "items", "user_id"), sorted(&[1, 4]));
    assert_eq!(with.len(), 1, "a full page that is the last says so");
    for (page, enabled) in [(&without[0], false), (&with[0], true)] {
        for member in page.items() {
            assert_eq!(member["two_factor_enabled"], enabled, "{}", page.text);
        }
    }
}

/// How an agreement lists one of its members.
async fn member(app: &TestApp, agreement: &Agreement, person: &Person) -> Value {
    let listed = app.get(&agreement.path("/users"), &app.key).await.expect(200);
    let found = listed.items().into_iter().find(|member| member["user_id"] == person.id);
    found.unwrap_or_else(|| panic!("{} is not listed: {}", person.display_name, listed.text))
}

async fn overdue_since(
    app: &TestApp,
    agreement: &Agreement,
    person: &Person,
) -> chrono::DateTime<chrono::Utc> {
    let member = member(app, agreement, person).await;
    assert_eq!(member["overdue"], true, "{member}");
    time(&member["required_since"])
}

/// An agreement with one member, who has no two-factor; an hour later.
async fn an_agreement_and_its_member(app: &TestApp) -> (Agreement, Person) {
    let agreement = app.agreement("Havbris").await;
    let ada = app.register("Ada").await;
    app.link(&agreement, &ada).await;
    app.advance_min(60);
    (agreement, ada)
}

async fn a_member_of_an_agreement_that_requires_nothing_is_not_overdue(app: TestApp) {
    let (agreement, ada) = an_agreement_and_its_member(&app).await;
    let member = member(&app, &agreement, &ada).await;
    assert_eq!(member["required_since"], Value::Null);
    assert_eq!(member["overdue"], false);
}

async fn a_member_is_overdue_since_the_tick(app: TestApp) {
    let (agreement, ada) = an_agreement_and_its_member(&app).await;
    let ticked = app.now();
    app.enforce(&agreement).await;
    app.advance_min(60);
    assert_eq!(overdue_since(&app, &agreement, &ada).await, ticked);
}

async fn somebody_linked_after_the_tick_is_overdue_since_then(app: TestApp) {
    let (agreement, ada) = an_agreement_and_its_member(&app).await;
    let ticked = app.now();
    app.enforce(&agreement).await;
    let grace = app.register("Grace").await;
    app.advance_min(60);
    let linked = app.now();
    app.link(&agreement, &grace).await;
    app.advance_min(60);
    assert_eq!(overdue_since(&app, &agreement, &grace).await, linked);
    assert_eq!(overdue_since(&app, &agreement, &ada).await, ticked);
    // Another role is no new link.
    app.link_as(&agreement, &grace, "superuser").await;
    assert_eq!(overdue_since(&app, &agreement, &grace).await, linked);
}

async fn a_member_is_overdue_since_the_administrators_tick(app: TestApp) {
    let (client, ada) = an_agreement_and_its_member(&app).await;
    let accountant = app.administrator("Nordlys").await;
    app.administer(&client, Some(&accountant)).await;
    app.advance_min(60);
    let ticked = app.now();
    app.enforce(&accountant).await;
    app.advance_min(60);
    assert_eq!(overdue_since(&app, &client, &ada).await, ticked);
}

async fn a_member_is_overdue_since_the_administration_where_that_began_after_the_tick(app: TestApp) {
    let (client, ada) = an_agreement_and_its_member(&app).await;
    let accountant = app.administrator("Nordlys").await;
    app.enforce(&accountant).await;
    app.advance_min(60);
    assert_eq!(member(&app, &client, &ada).await["required_since"], Value::Null);
    let administered = app.now();
    app.administer(&client, Some(&accountant)).await;
    app.advance_min(60);
    assert_eq!(overdue_since(&app, &client, &ada).await, administered);
    app.administer(&client, None).await;
    let member = member(&app, &client, &ada).await;
    assert_eq!(member["required_since"], Value::Null, "nothing reaches her any more");
    assert_eq!(member["overdue"], false);
}

async fn the_earlier_of_two_ticks_counts(app: TestApp) {
    let (client, ada) = an_agreement_and_its_member(&app).await;
    let accountant = app.administrator("Nordlys").await;
    app.administer(&client, Some(&accountant)).await;
    let ticked = app.now();
    app.enforce(&client).await;
    app.advance_min(60);
    app.enforce(&accountant).await;
    assert_eq!(overdue_since(&app, &client, &ada).await, ticked);
    // A member of another agreement too: since when is told of the person, not of the list.
    app.advance_min(60);
    let other = app.agreement("Fjord").await;
    app.link(&other, &ada).await;
    assert_eq!(overdue_since(&app, &other, &ada).await, ticked);
}

async fn before_the_deadline_two_factor_is_required_and_not_overdue(app: TestApp) {
    let (agreement, ada) = an_agreement_and_its_member(&app).await;
    let (ticked, deadline) = (app.now(), app.now() + TimeDelta::days(7));
    app.enforce_by(&agreement, deadline).await;
    app.clock.set(deadline - TimeDelta::seconds(1));
    let before = member(&app, &agreement, &ada).await;
    assert_eq!(time(&before["required_since"]), ticked);
    assert_eq!(before["overdue"], false);
    app.clock.set(deadline);
    assert_eq!(overdue_since(&app, &agreement, &ada).await, ticked);
}

async fn a_member_with_two_factor_is_not_overdue(app: TestApp) {
    let (agreement, ada) = an_agreement_and_its_member(&app).await;
    let ticked = app.now();
    app.enforce(&agreement).await;
    app.enrol_and_confirm(&ada).await;
    let member = member(&app, &agreement, &ada).await;
    assert_eq!(time(&member["required_since"]), ticked);
    assert_eq!(member["two_factor_enabled"], true);
    assert_eq!(member["overdue"], false);
}

async fn once_unticked_nobody_is_overdue(app: TestApp) {
    let (agreement, ada) = an_agreement_and_its_member(&app).await;
    app.enforce(&agreement).await;
    app.advance_min(60);
    app.stop_enforcing(&agreement).await;
    let member = member(&app, &agreement, &ada).await;
    assert_eq!(member["required_since"], Value::Null);
    assert_eq!(member["overdue"], false);
}
