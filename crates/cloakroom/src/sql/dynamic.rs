use sea_query::{ExprTrait, IntoCondition};

use super::{Comparison, Filter};
use crate::database::ColumnType;
use crate::error::ErrorKind;
use crate::table::{DynamicFields, DynamicValue, FieldDefinition, TableDefinition, column, unknown_field};

impl DynamicFields {
    /// The condition that the field `name` of `table`, or one of its built-in columns, equals `value`.
    ///
    /// A field that does not exist and a comparison with null are errors of the query that the condition
    /// goes into.
    pub fn equals(table: &TableDefinition, name: &str, value: &DynamicValue) -> Filter<Self> {
        Self::compare(table, name, Comparison::Equal, value)
    }

    /// The condition that the field `name` of `table`, or one of its built-in columns, compares so with `value`. A null
    /// compares with nothing: it is neither equal nor unequal to a value, neither less nor greater.
    ///
    /// What does not exist and what is null is refused as by [`equals`](Self::equals).
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
            let column_type = match (&field, name.as_str()) {
                (Some(field), _) => field.column_type(backend),
                (None, column::ID) => &ColumnType::Uuid,
                (None, _) => &ColumnType::Timestamp,
            };
            let value = bindings.compared_with(&name, value.to_field_value(&name, column_type, backend))?;
            Ok(bindings.column(&name).binary(comparison.operator(), value).into_condition())
        })
    }
}
