use std::fs;

use super::error::ServerError;
use super::kind::Kind;

/// An unprivileged account, for a server started by root.
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Returns the account to run as, or `None` if `own_uid` may run the server itself.
    pub(super) fn for_server(kind: Kind, own_uid: u32) -> Result<Option<Self>, ServerError> {
        if own_uid != 0 {
            return Ok(None);
        }
        let wanted: &'static [&'static str] = match kind {
            Kind::Postgres => &["postgres", "nobody"],
            Kind::MariaDb => &["mysql", "nobody"],
        };
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        wanted.iter().find_map(|name| find(&passwd, name)).map(Some).ok_or(ServerError::NoAccount { wanted })
    }
}

fn find(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        // An account of that name with root's rights would not help.
        (uid != 0).then_some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                          broken\n\
                          postgres2:x:7:7::/:/bin/false\n\
                          postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let account = find(PASSWD, "postgres").expect("it is in the list");
        assert_eq!((account.uid, account.gid), (101, 104));
        assert!(find(PASSWD, "mysql").is_none());
        assert!(find(PASSWD, "broken").is_none());
    }

    #[test]
    fn root_is_never_the_answer() {
        assert!(find(PASSWD, "root").is_none());
    }

    #[test]
    fn an_ordinary_user_runs_the_server_himself() {
        let account = Account::for_server(Kind::Postgres, 1000).expect("nothing to look up");
        assert!(account.is_none());
    }
}
