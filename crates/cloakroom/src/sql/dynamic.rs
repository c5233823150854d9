use sea_query::IntoCondition;

use super::{Comparison, Filter};
use crate::database::ColumnType;
use crate::error::ErrorKind;
use crate::table::{
    BUILT_IN_COLUMNS, DynamicFields, DynamicValue, FieldDefinition, TableDefinition, column, unknown_field,
};

impl DynamicFields {
    /// Returns the condition that the field `name` of `table`, or one of its built-in columns, equals `value`.
    ///
    /// If the field does not exist, or if `value` is null, the query that uses the condition fails.
    pub fn equals(table: &TableDefinition, name: &str, value: &DynamicValue) -> Filter<Self> {
        Self::compare(table, name, Comparison::Equal, value)
    }

    /// Returns the condition that the field `name` of `table`, or one of its built-in columns, compares with `value` as
    /// `comparison` says. A null in the column never matches: it is neither equal nor unequal to a value, neither less
    /// nor greater.
    ///
    /// A field that does not exist and a null `value` are errors, as in [`equals`](Self::equals).
    pub fn compare(
        table: &TableDefinition,
        name: &str,
        comparison: Comparison,
        value: &DynamicValue,
    ) -> Filter<Self> {
        let is_queryable = table.has_column(name) && name != column::DIGEST && name != column::DATA;
        if !is_queryable {
            let error = unknown_field(name, table.fields.iter().map(FieldDefinition::name));
            return Filter::refuse(error.kind(), error.to_string());
        }
        if *value == DynamicValue::Null {
            let message = format!("{name} cannot be compared with null");
            return Filter::refuse(ErrorKind::Unsupported, message);
        }
        let field = table.fields.iter().find(|field| field.name == name);
        let (field, name, value) = (field.cloned(), name.to_owned(), value.clone());
        Filter::new(move |bindings| {
            let backend = bindings.backend();
            let built_in = || BUILT_IN_COLUMNS.iter().find(|built_in| built_in.name == name);
            let column_type = match &field {
                Some(field) => field.column_type(backend),
                None => built_in().map_or(&ColumnType::Text, |built_in| &built_in.column_type),
            };
            let value = value.to_field_value(&name, column_type, backend);
            Ok(bindings.compares(&name, comparison.operator(), value)?.into_condition())
        })
    }
}
