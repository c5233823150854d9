//! How each driver stores scopes: as text.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;

use super::list::with_databases;
use crate::scopes::{AnyScope, Scopes};

macro_rules! store_as_text {
    ([$(($feature:literal, $database:ident, $module:ident, $connection:ident))*]) => {$(
        #[cfg(feature = $feature)]
        impl<E> sqlx::Type<sqlx::$database> for Scopes<E> {
            fn type_info() -> <sqlx::$database as sqlx::Database>::TypeInfo {
                <String as sqlx::Type<sqlx::$database>>::type_info()
            }

            fn compatible(found: &<sqlx::$database as sqlx::Database>::TypeInfo) -> bool {
                <String as sqlx::Type<sqlx::$database>>::compatible(found)
            }
        }

        #[cfg(feature = $feature)]
        impl<'q, E> sqlx::Encode<'q, sqlx::$database> for Scopes<E> {
            fn encode_by_ref(
                &self,
                buffer: &mut <sqlx::$database as sqlx::Database>::ArgumentBuffer,
            ) -> Result<IsNull, BoxDynError> {
                sqlx::Encode::<sqlx::$database>::encode(self.to_string(), buffer)
            }
        }

        #[cfg(feature = $feature)]
        impl<'r, E: AnyScope> sqlx::Decode<'r, sqlx::$database> for Scopes<E> {
            fn decode(value: <sqlx::$database as sqlx::Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
                let text = <&str as sqlx::Decode<sqlx::$database>>::decode(value)?;
                Ok(Self::from_stored(text))
            }
        }
    )*};
}

with_databases! { [store_as_text] }
