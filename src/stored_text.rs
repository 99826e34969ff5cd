//! Types that are read from a column of text.

/// Lets sqlx read a type from a column of text by its `FromStr`, so that the error of a text that is no
/// such value says why in words. `#[sqlx(try_from)]` of sqlx 0.9 says "unprintable error" instead.
macro_rules! stored_text {
    ($name:ident) => {
        impl<D: sqlx::Database> sqlx::Type<D> for $name
        where
            String: sqlx::Type<D>,
        {
            fn type_info() -> D::TypeInfo {
                <String as sqlx::Type<D>>::type_info()
            }

            fn compatible(column: &D::TypeInfo) -> bool {
                <String as sqlx::Type<D>>::compatible(column)
            }
        }

        impl<'r, D: sqlx::Database> sqlx::Decode<'r, D> for $name
        where
            String: sqlx::Decode<'r, D>,
        {
            fn decode(value: D::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                let text = <String as sqlx::Decode<'r, D>>::decode(value)?;
                Ok(text.parse()?)
            }
        }
    };
}

pub(crate) use stored_text;
