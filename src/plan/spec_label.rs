//! The label by which a container is compared with what its module should be.

use crate::model::{EnvValue, Hash, Module, SecretName};
use std::collections::BTreeMap;

/// The specification label: the spec hash, and for secrets a keyed hash of their values, so that a new
/// value makes a new container though no text of it is anywhere.
///
/// # Errors
/// Why a secret can't be had, in words.
pub fn spec_label(
    spec: &Hash,
    module: &Module,
    secrets: &BTreeMap<SecretName, Result<Hash, String>>,
) -> Result<Hash, String> {
    let mut texts = vec![spec.as_str().to_owned()];
    for value in module.env.values() {
        if let EnvValue::Secret(name) = value {
            match secrets.get(name) {
                Some(Ok(digest)) => texts.extend([name.to_string(), digest.to_string()]),
                Some(Err(words)) => return Err(words.clone()),
                None => return Err(format!("the control host has no secret `{name}`")),
            }
        }
    }
    if texts.len() == 1 {
        return Ok(spec.clone());
    }
    Ok(Hash::of_texts("hoist spec with secrets", texts.iter().map(String::as_str)))
}
