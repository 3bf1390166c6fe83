//! The index and the reference evaluator say the same of every device.

use super::device;
use super::round_trip::expr;
use crate::language::ast::Expr;
use crate::language::names::Scope;
use crate::language::selection::Selection;
use crate::language::{Columns, Condition, Query, Root, Row, RowKind, Subject, Truth};
use crate::model::{Device, DeviceChanges, Devices, Facts, Table, Value};
use proptest::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        (-3_i64..3).prop_map(Value::Integer),
        (-3_i64..3).prop_map(|n| Value::Float(n as f64)),
        "[a-c]{0,2}".prop_map(Value::from),
        prop::collection::vec("[a-c]".prop_map(Value::from), 0..2).prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 3, |inner| table(inner).prop_map(Value::Table))
}

fn table(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Table> {
    prop::collection::vec(("[a-e]", value), 0..4).prop_map(Table::from_iter)
}

fn devices(tables: &[(Table, Table)]) -> Arc<Devices> {
    let device = |(n, (tags, reported)): (usize, &(Table, Table))| {
        let id = format!("{}{n}", ["a", "b", "press-"][n % 3]);
        Device { tags: tags.clone(), reported: reported.clone(), ..device(&id, "") }.into()
    };
    Arc::new(tables.iter().enumerate().map(device).collect())
}

fn is_by_files(expr: &Expr) -> bool {
    let mut is_by_files = true;
    expr.for_each_property(&mut |p| is_by_files &= matches!(p.root, Root::Tags | Root::DeviceId));
    is_by_files
}

/// Makes the columns of conditions, in parts of some devices each.
fn make(columns: &mut Columns, conditions: &[Condition], facts: &Facts) {
    let needed = Columns::needed_by(conditions);
    let (names, devices) = (columns.missing(&needed), columns.devices().len());
    let parts = (0..devices).step_by(17).map(|start| start..devices.min(start + 17));
    let parts = parts.map(|range| columns.read(&names, facts, range)).collect();
    columns.keep_and_add(&needed, (names, parts));
}

fn agree(columns: &Columns, conditions: &[Condition]) -> Result<(), TestCaseError> {
    for condition in conditions {
        let met = columns.matches(condition);
        for (n, device) in columns.devices().values().enumerate() {
            let subject = Subject { device, reported: &device.reported };
            let reference = condition.evaluate(subject) == Truth::True;
            prop_assert_eq!(met.contains(n), reference, "{} for {:?}", condition, subject);
        }
        prop_assert_eq!(met.count(), met.numbers().count());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn the_index_agrees_with_the_reference(
        exprs in prop::collection::vec(expr(Scope::Target), 1..4),
        tables in prop::collection::vec((table(value()), table(value())), 0..90),
    ) {
        let conditions: Vec<Condition> = exprs.into_iter().map(Condition::of).collect();
        let devices = devices(&tables);
        let mut columns = Columns::new(Arc::clone(&devices));
        make(&mut columns, &conditions[..1], &Facts::none());
        make(&mut columns, &conditions, &Facts::none());
        agree(&columns, &conditions)?;
        // What devices report counts as what they declare.
        let mut declared = Devices::clone(&devices);
        for device in devices.values() {
            declared.insert(Arc::new(Device { reported: Table::new(), ..Device::clone(device) }));
        }
        let facts = devices.iter().map(|(id, device)| (id.clone(), device.reported.clone()));
        let mut live = Columns::new(Arc::new(declared));
        make(&mut live, &conditions, &Facts(facts.collect()));
        for condition in &conditions {
            prop_assert_eq!(live.matches(condition), columns.matches(condition));
        }
    }

    #[test]
    fn a_query_by_columns_gives_what_it_gives_row_by_row(
        exprs in prop::collection::vec(expr(Scope::Target), 1..4),
        tables in prop::collection::vec((table(value()), Just(Table::new())), 0..80),
    ) {
        let exprs: Vec<Expr> = exprs.into_iter().filter(is_by_files).collect();
        let conditions: Vec<Condition> = exprs.iter().cloned().map(Condition::of).collect();
        let devices = devices(&tables);
        let mut columns = Columns::new(Arc::clone(&devices));
        make(&mut columns, &conditions, &Facts::none());
        let row = |device| Row {
            device,
            reported: Cow::Borrowed(&device.reported),
            configurations: Vec::new(),
            kind: RowKind::Device { connected: None },
        };
        for expr in exprs {
            let query = Query::of(Selection::devices_where(Some(expr)));
            let found = query.find(&columns).expect("all columns are there");
            let met: Vec<&Device> =
                found.met.numbers().map(|n| &**devices.at(n).unwrap()).collect();
            let by_columns = query.evaluate_found(&found, met.into_iter().map(row));
            let by_rows = query.evaluate(devices.values().map(AsRef::as_ref).map(row));
            prop_assert_eq!(by_columns, by_rows, "{}", query);
        }
    }

    #[test]
    fn a_device_that_is_another_one_is_put_in_its_place(
        exprs in prop::collection::vec(expr(Scope::Target), 1..4),
        tables in prop::collection::vec((table(value()), table(value())), 1..40),
        others in prop::collection::vec((any::<prop::sample::Index>(), table(value()), table(value())), 0..12),
    ) {
        let conditions: Vec<Condition> = exprs.into_iter().map(Condition::of).collect();
        let before = devices(&tables);
        let mut columns = Columns::new(Arc::clone(&before));
        make(&mut columns, &conditions, &Facts::none());
        let (mut after, mut changed) = (Devices::clone(&before), Vec::new());
        for (which, tags, reported) in others {
            let number = which.index(before.len());
            let device = Device::clone(before.at(number).unwrap());
            after.insert(Arc::new(Device { tags, reported, ..device }));
            changed.push(number);
        }
        let changes = DeviceChanges { others: changed, ..DeviceChanges::default() };
        columns.go_over_to(Arc::new(after), &changes, &Facts::none());
        agree(&columns, &conditions)?;
    }
}
