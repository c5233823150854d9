//! How a variant's name becomes that of its scope. The styles have serde's names, and write what serde writes.

/// A style of `rename_all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

const NAMES: [(&str, Case); 8] = [
    ("lowercase", Case::Lower),
    ("UPPERCASE", Case::Upper),
    ("PascalCase", Case::Pascal),
    ("camelCase", Case::Camel),
    ("snake_case", Case::Snake),
    ("SCREAMING_SNAKE_CASE", Case::ScreamingSnake),
    ("kebab-case", Case::Kebab),
    ("SCREAMING-KEBAB-CASE", Case::ScreamingKebab),
];

impl Case {
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, case)| *case)
    }

    /// Returns the name of a variant, which is in `PascalCase`, in this style.
    pub(super) fn of_variant(self, variant: &str) -> String {
        match self {
            Self::Pascal => variant.to_owned(),
            Self::Lower => variant.to_ascii_lowercase(),
            Self::Upper => variant.to_ascii_uppercase(),
            Self::Camel => {
                let mut characters = variant.chars();
                let first = characters.next().map(|first| first.to_ascii_lowercase());
                first.into_iter().chain(characters).collect()
            }
            Self::Snake => parted(variant, '_'),
            Self::ScreamingSnake => parted(variant, '_').to_ascii_uppercase(),
            Self::Kebab => parted(variant, '-'),
            Self::ScreamingKebab => parted(variant, '-').to_ascii_uppercase(),
        }
    }
}

/// Returns the words in lower case, each of which began with a capital letter.
fn parted(variant: &str, between: char) -> String {
    let mut parted = String::with_capacity(variant.len() + 4);
    for (place, character) in variant.chars().enumerate() {
        if place > 0 && character.is_uppercase() {
            parted.push(between);
        }
        parted.push(if character == '_' { between } else { character.to_ascii_lowercase() });
    }
    parted
}
