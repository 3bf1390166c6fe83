//! Lints of custom metrics.

use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::fleet::Fleet;

pub(super) fn lint(fleet: &Fleet, found: &mut Diagnostics) {
    for (id, deployment) in &fleet.deployments {
        for (name, metric) in &deployment.metrics {
            if metric.query.gives_one_row() {
                let message =
                    format!("metric `{name}` is always 1: its value is the number of rows");
                found.push(
                    Diagnostic::new(Code::ConstantMetric, message)
                        .at(metric.place.clone())
                        .of_deployment(id)
                        .help("select `deviceId` instead of `COUNT()`"),
                );
            }
        }
    }
}
