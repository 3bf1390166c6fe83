//! What a query means, as a tree: which collection, which of its rows, which columns of them.
//!
//! It prints back to text that parses to the same tree. Not here: what was written and refused.

use super::ast::{Expr, Property, Root};
use crate::diagnostic::Span;
use std::fmt;

/// A checked query.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Selection {
    pub(super) select: Select,
    pub(super) collection: Collection,
    /// `None` takes every row.
    pub(super) filter: Option<Expr>,
    /// Empty where rows are not grouped.
    pub(super) group_by: Vec<Property>,
}

/// What a query looks through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// `devices`: a row a device.
    Devices,
    /// `devices.modules`: a row a module of a device.
    Modules,
}

/// What is given of each row or group.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Select {
    /// `*`; never grouped.
    Everything,
    /// At least one, of different names. Where rows are counted or grouped, every property is one of those
    /// that they are grouped by.
    Columns(Vec<Column>),
}

/// One column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) what: ColumnKind,
    /// As `AS` gives it.
    pub(super) name: Option<String>,
}

/// What stands in a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ColumnKind {
    Property(Property),
    /// How many rows there are in the group, or in all.
    Count,
}

impl Column {
    /// Its name: the one it was given, else the last part of what stands in it.
    pub(super) fn name(&self) -> String {
        match (&self.name, &self.what) {
            (Some(name), _) => name.clone(),
            (None, ColumnKind::Count) => "count".to_owned(),
            (None, ColumnKind::Property(property)) => last_part(property),
        }
    }
}

/// The last part of a property's name.
pub(super) fn last_part(property: &Property) -> String {
    match (property.root, property.path.last()) {
        (Root::Configurations, _) => "status".to_owned(),
        (Root::IotEdge, _) => "iotEdge".to_owned(),
        (_, Some(key)) => key.clone(),
        (root, None) => root.to_string(),
    }
}

impl Selection {
    /// What a bare condition stands for; `None` for every device.
    pub(super) fn devices_where(filter: Option<Expr>) -> Self {
        let id = Property { root: Root::DeviceId, path: Vec::new(), span: Span::default() };
        Self {
            select: Select::Columns(vec![Column { what: ColumnKind::Property(id), name: None }]),
            collection: Collection::Devices,
            filter,
            group_by: Vec::new(),
        }
    }

    /// Whether it gives a row a group, or one in all, and not one for each that it finds.
    pub(super) fn counts(&self) -> bool {
        let counted = match &self.select {
            Select::Everything => false,
            Select::Columns(columns) => columns.iter().any(|c| c.what == ColumnKind::Count),
        };
        counted || !self.group_by.is_empty()
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { select, collection, filter, group_by } = self;
        f.write_str("SELECT ")?;
        match select {
            Select::Everything => f.write_str("*")?,
            Select::Columns(columns) => write_list(f, columns)?,
        }
        write!(f, " FROM {collection}")?;
        if let Some(filter) = filter {
            write!(f, " WHERE {filter}")?;
        }
        if !group_by.is_empty() {
            f.write_str(" GROUP BY ")?;
            write_list(f, group_by)?;
        }
        Ok(())
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display]) -> fmt::Result {
    items.iter().enumerate().try_for_each(|(i, item)| {
        f.write_str(if i == 0 { "" } else { ", " })?;
        item.fmt(f)
    })
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            ColumnKind::Property(property) => property.fmt(f)?,
            ColumnKind::Count => f.write_str("COUNT()")?,
        }
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " AS {name}"))
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Devices => "devices",
            Self::Modules => "devices.modules",
        })
    }
}
