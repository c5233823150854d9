//! The users of the site. A real one has them in a table, with hashes of their passwords.

#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
}

const USERS: [User; 1] = [User { id: 7, name: "robin", password: "a password" }];

/// Returns the user with this name and password.
pub(crate) fn authenticate(name: &str, password: &str) -> Option<User> {
    USERS.into_iter().find(|user| user.name == name && user.password == password)
}

/// Returns the user with this id.
pub(crate) fn by_id(id: i64) -> Option<User> {
    USERS.into_iter().find(|user| user.id == id)
}

/// A form that is sent to its own address, so that `?next=…` comes along.
pub(crate) const LOGIN_PAGE: &str = "<form method=post><input name=name required>\
    <input name=password type=password required><button>Log in</button></form>";
