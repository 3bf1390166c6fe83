//! The index and the reference evaluator say the same of every device.

use super::device;
use super::round_trip::expr;
use crate::language::names::Scope;
use crate::language::{Columns, Condition, Subject, Truth};
use crate::model::{Device, Table, Value};
use proptest::prelude::*;

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_index_agrees_with_the_reference(
        exprs in prop::collection::vec(expr(Scope::Target), 1..4),
        tables in prop::collection::vec((table(value()), table(value())), 0..150),
    ) {
        let conditions: Vec<Condition> = exprs.into_iter().map(Condition::of).collect();
        let devices: Vec<(Device, Table)> = tables
            .into_iter()
            .enumerate()
            .map(|(n, (tags, reported))| {
                (Device { tags, ..device(&format!("{}{n}", ["a", "b", "press-"][n % 3]), "") }, reported)
            })
            .collect();
        let subjects: Vec<Subject<'_>> =
            devices.iter().map(|(device, reported)| Subject { device, reported }).collect();
        let columns = Columns::of(&conditions, &subjects);
        for condition in &conditions {
            let met = columns.matches(condition);
            for (n, subject) in subjects.iter().enumerate() {
                let reference = condition.evaluate(*subject) == Truth::True;
                prop_assert_eq!(met.contains(n), reference, "{} for {:?}", condition, subject);
            }
            prop_assert_eq!(met.count(), met.numbers().count());
        }
    }
}
