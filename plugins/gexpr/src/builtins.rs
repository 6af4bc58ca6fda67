//! The builtins: their names, how many arguments they take, and what they are.

/// A builtin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Builtin {
    Add,
    Subtract,
    Multiply,
    Divide,
    Equal,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    And,
    Or,
    Not,
}

/// The builtins' names. Their places here are their ids as names and in [`Builtin::ALL`].
pub(crate) const NAMES: [&str; 12] = ["+", "-", "*", "/", "=", "<", ">", "<=", ">=", "and", "or", "not"];

impl Builtin {
    const ALL: [Builtin; 12] = [
        Builtin::Add,
        Builtin::Subtract,
        Builtin::Multiply,
        Builtin::Divide,
        Builtin::Equal,
        Builtin::Less,
        Builtin::Greater,
        Builtin::LessOrEqual,
        Builtin::GreaterOrEqual,
        Builtin::And,
        Builtin::Or,
        Builtin::Not,
    ];

    /// The builtin that a name's id stands for.
    #[inline]
    pub(crate) fn named(name: u32) -> Option<Builtin> {
        Builtin::ALL.get(name as usize).copied()
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// How many arguments it takes.
    #[inline]
    pub(crate) fn arity(self) -> u32 {
        if self == Builtin::Not { 1 } else { 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_builtins_stand_in_one_order() {
        for (name, text) in NAMES.iter().enumerate() {
            let builtin = Builtin::named(name as u32).unwrap();
            assert_eq!((builtin as usize, builtin.name()), (name, *text));
        }
        assert_eq!(Builtin::named(12), None);
    }
}
