//! Types of columns and their names in each engine.

use std::fmt;

use arrow::datatypes::{DataType, Field, TimeUnit};
use serde::{Serialize, Serializer};

use crate::dataset::is_json;
use crate::error::{Error, Result};

/// Type of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text.
    String,
    /// Text with the logical type JSON.
    Json,
    /// Integers of 64 bits.
    Int64,
    /// Floating point numbers of 64 bits.
    Float64,
    /// True or false.
    Bool,
    /// Instants, to the microsecond.
    Timestamp,
    /// Days.
    Date,
    /// Lists.
    List(Box<Self>),
    /// Maps from keys to values.
    Map(Box<Self>, Box<Self>),
}

impl Type {
    /// Returns the type of a field.
    ///
    /// # Errors
    /// If no table has such a type.
    pub(super) fn of(field: &Field) -> Result<Self> {
        let boxed = |field: &Field| Self::of(field).map(Box::new);
        Ok(match field.data_type() {
            DataType::Utf8 if is_json(field) => Self::Json,
            DataType::Utf8 => Self::String,
            DataType::Int64 => Self::Int64,
            DataType::Float64 => Self::Float64,
            DataType::Boolean => Self::Bool,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Self::Timestamp,
            DataType::Date32 => Self::Date,
            DataType::List(element) => Self::List(boxed(element)?),
            DataType::Map(entry, _) => match entry.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => {
                    Self::Map(boxed(&fields[0])?, boxed(&fields[1])?)
                }
                other => return Err(unknown(other)),
            },
            other => return Err(unknown(other)),
        })
    }

    /// Returns its name in an engine.
    pub(super) fn named(&self, names: &TypeNames) -> String {
        let name = match self {
            Self::String => names.string,
            Self::Json => names.json,
            Self::Int64 => names.int64,
            Self::Float64 => names.float64,
            Self::Bool => names.bool,
            Self::Timestamp => names.timestamp,
            Self::Date => names.date,
            Self::List(element) => return names.list.replace("{}", &element.named(names)),
            Self::Map(key, value) => {
                let map = names.map.replacen("{}", &key.named(names), 1);
                return map.replacen("{}", &value.named(names), 1);
            }
        };
        name.to_owned()
    }
}

fn unknown(found: &DataType) -> Error {
    Error::Internal(format!("the column type {found} is not supported"))
}

/// Names of the types in an engine; `{}` is replaced by nested types.
pub(super) struct TypeNames {
    string: &'static str,
    json: &'static str,
    int64: &'static str,
    float64: &'static str,
    bool: &'static str,
    timestamp: &'static str,
    date: &'static str,
    list: &'static str,
    map: &'static str,
}

/// Names that are displayed.
pub(super) const DISPLAYED: TypeNames = TypeNames {
    string: "string",
    json: "string (JSON)",
    int64: "int64",
    float64: "float64",
    bool: "bool",
    timestamp: "timestamp (µs, UTC)",
    date: "date",
    list: "list<{}>",
    map: "map<{}, {}>",
};

pub(super) const DUCKDB: TypeNames = TypeNames {
    string: "VARCHAR",
    json: "JSON",
    int64: "BIGINT",
    float64: "DOUBLE",
    bool: "BOOLEAN",
    timestamp: "TIMESTAMPTZ",
    date: "DATE",
    list: "{}[]",
    map: "MAP({}, {})",
};

pub(super) const PYARROW: TypeNames = TypeNames {
    string: "pa.string()",
    json: "pa.string()",
    int64: "pa.int64()",
    float64: "pa.float64()",
    bool: "pa.bool_()",
    timestamp: "pa.timestamp(\"us\", \"UTC\")",
    date: "pa.date32()",
    list: "pa.list_({})",
    map: "pa.map_({}, {})",
};

pub(super) const POLARS: TypeNames = TypeNames {
    string: "pl.String",
    json: "pl.String",
    int64: "pl.Int64",
    float64: "pl.Float64",
    bool: "pl.Boolean",
    timestamp: "pl.Datetime(\"us\", \"UTC\")",
    date: "pl.Date",
    list: "pl.List({})",
    map: "pl.Map({}, {})",
};

/// Names in Hive, Spark and Athena.
pub(super) const HIVE: TypeNames = TypeNames {
    string: "string",
    json: "string",
    int64: "bigint",
    float64: "double",
    bool: "boolean",
    timestamp: "timestamp",
    date: "date",
    list: "array<{}>",
    map: "map<{},{}>",
};

pub(super) const TRINO: TypeNames = TypeNames {
    string: "varchar",
    json: "varchar",
    int64: "bigint",
    float64: "double",
    bool: "boolean",
    timestamp: "timestamp(6)",
    date: "date",
    list: "array({})",
    map: "map({}, {})",
};

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.named(&DISPLAYED))
    }
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Dataset, Promoted, PromotedType, TableOptions};

    #[test]
    fn every_column_has_a_name_in_every_engine() {
        let schema = Dataset::Conversations.schema();
        let metadata = Type::of(schema.field_with_name("metadata").unwrap()).unwrap();
        let names =
            [&DISPLAYED, &DUCKDB, &PYARROW, &POLARS, &HIVE, &TRINO].map(|names| metadata.named(names));
        assert_eq!(
            names.each_ref().map(String::as_str),
            [
                "map<string, string>",
                "MAP(VARCHAR, VARCHAR)",
                "pa.map_(pa.string(), pa.string())",
                "pl.Map(pl.String, pl.String)",
                "map<string,string>",
                "map(varchar, varchar)",
            ]
        );
        for dataset in Dataset::ALL {
            for field in dataset.schema().fields() {
                Type::of(field).unwrap();
            }
        }
    }

    #[test]
    fn promoted_columns_have_names_and_other_types_are_refused() {
        for (r#type, name) in [
            (PromotedType::String, "VARCHAR"),
            (PromotedType::Int64, "BIGINT"),
            (PromotedType::Float64, "DOUBLE"),
            (PromotedType::Bool, "BOOLEAN"),
            (PromotedType::Timestamp, "TIMESTAMPTZ"),
            (PromotedType::Json, "JSON"),
        ] {
            let table_options = TableOptions {
                promote: Promoted::list(&[format!("plan:{}", r#type.name())]).unwrap(),
                ..TableOptions::default()
            };
            let schema = table_options.schema(Dataset::Conversations);
            let found = Type::of(schema.field_with_name("plan").unwrap()).unwrap();
            assert_eq!(found.named(&DUCKDB), name);
        }
        assert!(Type::of(&Field::new("strange", DataType::Binary, true)).is_err());
    }
}
