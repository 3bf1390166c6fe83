//! Values that several kinds of tables share: free tables, durations, sizes, amounts, names to texts.

use super::item::Item;
use super::reader::TableReader;
use crate::diagnostic::Code;
use crate::model::{Amount, Duration, Table, Value, parse_bytes};
use std::collections::BTreeMap;
use toml::de::DeValue;

impl<'a> Item<'a> {
    /// Any value. Dates become strings.
    pub(in crate::fleet) fn any(&self) -> Option<Value> {
        self.any_with(&|_, text| Some(text.to_owned()))
    }

    /// Any value whose strings may hold templates.
    pub(in crate::fleet) fn any_template(&self) -> Option<Value> {
        self.any_with(&Self::checked_template)
    }

    fn any_with(&self, text_of: &dyn Fn(&Self, &str) -> Option<String>) -> Option<Value> {
        Some(match self.value.get_ref() {
            DeValue::String(text) => Value::from(text_of(self, text)?),
            DeValue::Integer(_) => Value::Integer(self.integer(i64::MIN, i64::MAX)?),
            DeValue::Float(number) => {
                let parsed = number.as_str().parse::<f64>().ok().filter(|n| n.is_finite());
                if parsed.is_none() {
                    self.bad(format!("`{}`: only finite numbers can be kept", self.name));
                }
                Value::Float(parsed?)
            }
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Datetime(date) => Value::from(date.to_string()),
            DeValue::Array(items) => Value::List(
                items
                    .iter()
                    .filter_map(|value| Item { value, ..*self }.any_with(text_of))
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(
                TableReader::new(self.file, table, String::new(), self.place())
                    .entries()
                    .filter_map(|item| Some((item.name, item.any_with(text_of)?)))
                    .collect(),
            ),
        })
    }

    /// A table of any values.
    pub(in crate::fleet) fn any_table(&self) -> Option<Table> {
        match self.any_table_value()?.any()? {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// A table of any values whose strings may hold templates.
    pub(in crate::fleet) fn any_template_table(&self) -> Option<Table> {
        match self.any_table_value()?.any_template()? {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    fn any_table_value(&self) -> Option<&Self> {
        if matches!(self.value.get_ref(), DeValue::Table(_)) {
            return Some(self);
        }
        self.wrong_type("a table");
        None
    }

    /// Names with texts that `read` takes.
    pub(in crate::fleet) fn texts<T>(
        &self,
        read: impl Fn(&Self) -> Option<T>,
    ) -> Option<BTreeMap<String, T>> {
        let table = self.table(format!("`{}`", self.name))?;
        Some(
            table
                .entries()
                .filter_map(|item| {
                    if item.name.is_empty() {
                        item.report_key(Code::BadName, "an empty name", None);
                        return None;
                    }
                    Some((item.name.to_owned(), read(&item)?))
                })
                .collect(),
        )
    }

    /// A duration.
    pub(in crate::fleet) fn duration(&self) -> Option<Duration> {
        if let DeValue::Integer(number) = self.value.get_ref() {
            let message = format!("`{}`: expected a duration, found an integer", self.name);
            let help = format!("write its unit: `\"{}s\"`", number.as_str());
            self.report(Code::WrongType, message, Some(help));
            return None;
        }
        if !matches!(self.value.get_ref(), DeValue::String(_)) {
            self.wrong_type("a duration such as \"10s\"");
            return None;
        }
        self.parsed(Duration::parse)
    }

    /// A size in bytes, more than 0.
    pub(in crate::fleet) fn bytes(&self) -> Option<u64> {
        let bytes = match self.value.get_ref() {
            DeValue::Integer(_) => return self.count(1),
            DeValue::String(text) => match parse_bytes(text) {
                Ok(bytes) => bytes,
                Err(message) => {
                    self.report(Code::BadValue, message, binary_unit(text));
                    return None;
                }
            },
            _ => {
                self.wrong_type("a size such as \"256MiB\", or a number of bytes");
                return None;
            }
        };
        if bytes == 0 {
            self.bad(format!("`{}` must be more than 0", self.name));
        }
        (bytes > 0).then_some(bytes)
    }

    /// A number of processors in billionths, more than 0.
    pub(in crate::fleet) fn cpus(&self) -> Option<u64> {
        let number = match self.value.get_ref() {
            DeValue::Float(number) => number.as_str().parse::<f64>().unwrap_or(f64::NAN),
            DeValue::Integer(number) => number.as_str().parse::<f64>().unwrap_or(f64::NAN),
            _ => {
                self.wrong_type("a number");
                return None;
            }
        };
        let nano = (number * 1e9).round();
        if !(1.0..=1e15).contains(&nano) {
            self.bad(format!(
                "`{}` must be a number of processors above 0, such as 0.5",
                self.name
            ));
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "between 1 and 1e15")]
        #[expect(clippy::cast_sign_loss, reason = "between 1 and 1e15")]
        Some(nano as u64)
    }

    /// A count, or a share such as `"25%"`.
    pub(in crate::fleet) fn amount(&self) -> Option<Amount> {
        match self.value.get_ref() {
            DeValue::Integer(_) => self.count(0).map(Amount::Count),
            DeValue::String(_) => self.share().map(Amount::Share),
            _ => {
                self.wrong_type("a count, or a share such as \"25%\"");
                None
            }
        }
    }

    /// A share in hundredths of a percent.
    pub(in crate::fleet) fn share(&self) -> Option<u32> {
        if let DeValue::Integer(number) = self.value.get_ref() {
            let message = format!("`{}`: expected a share, found an integer", self.name);
            let help = format!("write `\"{}%\"`", number.as_str());
            self.report(Code::WrongType, message, Some(help));
            return None;
        }
        self.parsed(|text| {
            parse_share(text)
                .ok_or_else(|| format!("`{text}` is no share; write `\"25%\"`, at most 100%"))
        })
    }
}

/// The size with the unit that was probably meant: `256MB` and `256 mib` are `256MiB`.
fn binary_unit(text: &str) -> Option<String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = text[digits..].trim().to_ascii_uppercase();
    let letter = unit.chars().next().filter(|c| "KMGT".contains(*c))?;
    let known = ["B", "IB", ""].iter().any(|end| unit[1..] == **end);
    let meant = format!("{}{letter}iB", &text[..digits]);
    (digits > 0 && known && meant != text).then(|| format!("did you mean `{meant}`?"))
}

fn parse_share(text: &str) -> Option<u32> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.strip_suffix('%')?.trim_end();
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if !digits(whole) || !digits(part) || part.len() > 2 {
        return None;
    }
    let hundredths: u32 = format!("{part:0<2}").parse().ok()?;
    let share = whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(hundredths)?;
    (share <= 10_000).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::parse_share;

    #[test]
    fn shares_are_hundredths_of_a_percent() {
        for (text, share) in [("25%", 2500), ("0%", 0), ("12.5%", 1250), ("100 %", 10_000)] {
            assert_eq!(parse_share(text), Some(share), "{text}");
        }
        for bad in ["", "%", "25", "-1%", "101%", "1.234%", ".5%", "99999999999%"] {
            assert_eq!(parse_share(bad), None, "{bad}");
        }
    }
}
