//! Installs the programs that the tests need on this machine.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use cloakroom_testing::servers::{Disk, Kind, Pooler};

use crate::browser;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Server(Kind),
    Pooler,
    /// A file system whose power can be cut.
    Disk,
    Browser,
    /// What unpacks servers beside the system.
    Unpacking,
}

impl Need {
    fn name(self) -> &'static str {
        match self {
            Self::Server(kind) => kind.name(),
            Self::Pooler => "PgBouncer",
            Self::Disk => "XFS",
            Self::Browser => "Chromium",
            Self::Unpacking => "unpacking packages",
        }
    }

    /// Returns the environment variable that says where the programs are to come from, if it is set.
    fn folder_variable(self) -> Option<&'static str> {
        match self {
            Self::Server(kind) => kind.folder().map(|_| kind.folder_variable()),
            Self::Pooler | Self::Disk | Self::Browser | Self::Unpacking => None,
        }
    }

    fn missing_programs(self) -> Vec<&'static str> {
        match self {
            Self::Server(kind) => kind.missing_programs(),
            Self::Pooler => Pooler::missing_programs(),
            Self::Disk => Disk::missing_programs(),
            Self::Browser => browser::missing_programs(),
            Self::Unpacking => ONE_PROGRAM.into_iter().filter(|program| !is_in_path(program)).collect(),
        }
    }
}

/// Makes sure that these programs are installed, by the package manager if necessary.
pub(crate) fn ensure(needs: &[Need]) -> Result<(), String> {
    let lacking = lacking(needs);
    if lacking.is_empty() {
        return Ok(());
    }
    eprintln!("missing: {}", describe(&lacking));
    if let Some(variable) = lacking.iter().find_map(|need| need.folder_variable()) {
        return Err(format!("they are not in the folder that {variable} names"));
    }
    let Some(manager) = Manager::of_this_machine() else {
        let names: Vec<&str> = lacking.iter().map(|need| need.name()).collect();
        return Err(format!("no package manager known to us; install {} by hand", names.join(" and ")));
    };
    let Some(mut command) = manager.may_install().and_then(|how| how.apt(&lacking)) else {
        return Err(format!("install them with:\n    {}", manager.command_line(&lacking, is_in_path)));
    };
    eprintln!("installing: {}", manager.command_line(&lacking, is_in_path));
    let status = command.status().map_err(|e| format!("could not run {command:?}: {e}"))?;
    if !status.success() {
        return Err(format!(
            "the installation failed; by hand:\n    {}",
            manager.command_line(&lacking, is_in_path)
        ));
    }
    let lacking = self::lacking(needs);
    if lacking.is_empty() {
        Ok(())
    } else {
        Err(format!("installed, but still missing: {}", describe(&lacking)))
    }
}

fn lacking(needs: &[Need]) -> Vec<Need> {
    let needs = needs.iter().copied();
    needs.filter(|need| !need.missing_programs().is_empty()).collect()
}

fn describe(lacking: &[Need]) -> String {
    let lines: Vec<String> = lacking
        .iter()
        .map(|need| format!("{} of {}", need.missing_programs().join(", "), need.name()))
        .collect();
    lines.join("; ")
}

/// Packages that are for the one program of the same name: what unpacks servers.
const ONE_PROGRAM: [&str; 2] = ["patchelf", "npm"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Apt,
    Dnf,
    Pacman,
    Zypper,
    Apk,
    Brew,
}

/// What lets us install without asking the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    Root,
    Sudo,
}

impl Manager {
    const ALL: [Self; 6] = [Self::Apt, Self::Dnf, Self::Pacman, Self::Zypper, Self::Apk, Self::Brew];

    fn of_this_machine() -> Option<Self> {
        let mut managers = Self::ALL.into_iter();
        managers.find(|manager| is_in_path(manager.program()))
    }

    fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Pacman => "pacman",
            Self::Zypper => "zypper",
            Self::Apk => "apk",
            Self::Brew => "brew",
        }
    }

    fn packages(self, need: Need) -> &'static [&'static str] {
        match (self, need) {
            (Self::Apt | Self::Dnf, Need::Server(Kind::MariaDb)) => &["mariadb-server"],
            (Self::Dnf | Self::Zypper, Need::Server(Kind::Postgres)) => &["postgresql-server"],
            (_, Need::Server(Kind::Postgres)) => &["postgresql"],
            (_, Need::Server(Kind::MariaDb)) => &["mariadb"],
            (_, Need::Pooler) => &["pgbouncer"],
            (_, Need::Disk) => &["xfsprogs"],
            // Without a font there would be nothing to read on the screenshots.
            (Self::Apt, Need::Browser) => &["chromium", "chromium-driver", "fonts-dejavu-core", "npm"],
            (Self::Dnf | Self::Zypper, Need::Browser) => &["chromium", "chromedriver", "npm"],
            (Self::Pacman, Need::Browser) => &["chromium", "npm"],
            (Self::Apk, Need::Browser) => &["chromium", "chromium-chromedriver", "font-dejavu", "npm"],
            (Self::Brew, Need::Browser) => &["google-chrome", "chromedriver", "node"],
            (_, Need::Unpacking) => &ONE_PROGRAM,
        }
    }

    /// Returns the packages to install. A program that is there already may come from elsewhere than its package, and
    /// exclude it, as other makers' Node.js does with Debian's `npm`.
    fn all_packages(self, needs: &[Need], is_there: impl Fn(&str) -> bool) -> Vec<&'static str> {
        let packages = needs.iter().flat_map(|need| self.packages(*need)).copied();
        packages.filter(|package| !(ONE_PROGRAM.contains(package) && is_there(package))).collect()
    }

    /// Returns the command that a person would type.
    fn command_line(self, needs: &[Need], is_there: impl Fn(&str) -> bool) -> String {
        let packages = self.all_packages(needs, is_there).join(" ");
        match self {
            Self::Apt => {
                format!("sudo apt-get update && sudo apt-get install -y --no-install-recommends {packages}")
            }
            Self::Dnf => format!("sudo dnf install -y {packages}"),
            Self::Pacman => format!("sudo pacman -S --needed {packages}"),
            Self::Zypper => format!("sudo zypper install -y {packages}"),
            Self::Apk => format!("sudo apk add {packages}"),
            Self::Brew => format!("brew install {packages}"),
        }
    }

    /// Only the Debian family is installed for. On other systems people should see the command first.
    fn may_install(self) -> Option<Permission> {
        if self != Self::Apt {
            return None;
        }
        if output_of("id", &["-u"]).as_deref() == Some("0") {
            return Some(Permission::Root);
        }
        output_of("sudo", &["-n", "true"]).map(|_| Permission::Sudo)
    }
}

/// Installs the packages without starting their servers, now or at the next boot. `policy-rc.d` is Debian's means for
/// an administrator to forbid it; an existing file is left as it is.
const APT: &str = r#"
set -eu
exec >&2 # Our own output is for the answer alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
apt-get update
apt-get install -y --no-install-recommends "$@"
if [ -d /run/systemd/system ]; then
    for package in "$@"; do
        systemctl disable --quiet "${package%-server}" 2>/dev/null || true
    done
fi
"#;

impl Permission {
    fn apt(self, needs: &[Need]) -> Option<Command> {
        let mut command = match self {
            Self::Root => Command::new("/bin/sh"),
            Self::Sudo => {
                let mut sudo = Command::new(in_path("sudo")?);
                sudo.args(["-n", "/bin/sh"]);
                sudo
            }
        };
        command
            .args(["-c", APT, "install"])
            .args(Manager::Apt.all_packages(needs, is_in_path))
            .stdin(Stdio::null());
        Some(command)
    }
}

pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

fn is_in_path(program: &str) -> bool {
    in_path(program).is_some()
}

/// Returns what a successful command prints, trimmed.
fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Need; 4] =
        [Need::Server(Kind::Postgres), Need::Server(Kind::MariaDb), Need::Pooler, Need::Browser];

    #[test]
    fn the_command_names_every_package_that_is_missing() {
        assert_eq!(
            Manager::Apt.command_line(&ALL, |_| false),
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends \
             postgresql mariadb-server pgbouncer chromium chromium-driver fonts-dejavu-core npm"
        );
        for manager in Manager::ALL {
            for need in ALL {
                let line = manager.command_line(&[need], |_| false);
                let packages = manager.packages(need);
                assert!(!packages.is_empty() && packages.iter().all(|p| line.contains(p)), "{line}");
            }
        }
    }

    #[test]
    fn a_program_from_elsewhere_needs_no_package() {
        let is_there = |program: &str| program == "npm";
        assert_eq!(Manager::Apt.all_packages(&[Need::Unpacking], is_there), ["patchelf"]);
        let packages = Manager::Apt.all_packages(&[Need::Server(Kind::MariaDb), Need::Browser], |_| true);
        assert_eq!(packages, ["mariadb-server", "chromium", "chromium-driver", "fonts-dejavu-core"]);
    }

    #[test]
    fn what_is_installed_is_what_the_servers_say_they_need() {
        for kind in [Kind::Postgres, Kind::MariaDb] {
            assert_eq!(Manager::Apt.packages(Need::Server(kind)), [kind.package()]);
        }
    }

    #[test]
    fn only_apt_is_run_for_the_user() {
        for manager in Manager::ALL {
            assert!(manager == Manager::Apt || manager.may_install().is_none());
        }
    }
}
