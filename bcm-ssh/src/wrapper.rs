//! The line that a command becomes on its way: what every machine's shell understands.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Command, Privilege};

/// Runs the program in a pinned environment, as root where that was asked for, after saying on
/// stderr which process it is: with that it can be ended should the deadline pass.
///
/// Every `exec` keeps the process, so the number holds for the program itself (or for sudo, which
/// hands signals on).
const SCRIPT: &str = r#"role=$1 mark=$2
shift 2
LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/snap/bin
export LC_ALL PATH
printf '%s %s\n' "$mark" "$$" >&2
if [ "$role" = root ] && [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo 'sudo: not installed' >&2; exit 1; }
    exec sudo -n -- env LC_ALL=C "$@"
fi
exec env LC_ALL=C "$@"
"#;

/// Ends a process and those it started, first kindly. Status 0 when it is gone.
const END_SCRIPT: &str = r#"role=$1 pid=$2
LC_ALL=C
export LC_ALL
send() {
    # A session over SSH is a process group of its own, and so is a command on this machine.
    # The shell's own kill: not every machine has another. Not every shell's understands "--".
    if [ "$role" = root ] && [ "$(id -u)" != 0 ]; then
        sudo -n -- sh -c "kill $1 -$pid"
    else
        kill "$1" "-$pid"
    fi
} 2>/dev/null
runs() {
    # proc(5): the state follows the name, which is in parentheses and may contain anything.
    stat=$(cat "/proc/$pid/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    [ "${stat%% *}" != Z ]
}
send -TERM
for try in 1 2 3 4 5 6 7 8 9 10; do
    runs || break
    sleep 0.2
done
# Those that it left behind, or it itself.
send -KILL
for try in 1 2 3 4 5; do
    runs || exit 0
    sleep 0.2
done
exit 1
"#;

/// A command as the words of a process, and the mark that its process number follows on stderr.
pub(crate) struct Wrapped {
    pub(crate) words: Vec<String>,
    pub(crate) mark: String,
}

pub(crate) fn wrap(command: &Command) -> Wrapped {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mark = format!("bcm-process-{}-{count}", std::process::id());
    let mut words: Vec<String> = ["sh", "-c", SCRIPT, "sh", role(command.privilege), &mark]
        .map(str::to_owned)
        .into();
    words.extend(
        command
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}")),
    );
    words.extend(command.argv.iter().cloned());
    Wrapped { words, mark }
}

/// The words that end the process `pid`.
pub(crate) fn end(privilege: Privilege, pid: u32) -> Vec<String> {
    [
        "sh",
        "-c",
        END_SCRIPT,
        "sh",
        role(privilege),
        &pid.to_string(),
    ]
    .map(str::to_owned)
    .into()
}

fn role(privilege: Privilege) -> &'static str {
    match privilege {
        Privilege::User => "user",
        Privilege::Root => "root",
    }
}

/// Words as one line for a login shell: each in single quotes.
///
/// Any POSIX shell, and csh and fish for words without backslashes or newlines, reads it back as
/// the same words.
pub(crate) fn line(words: &[String]) -> String {
    let mut line = String::from("exec");
    for word in words {
        line.push_str(" '");
        line.push_str(&word.replace('\'', r"'\''"));
        line.push('\'');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words_back(words: &[String]) -> Vec<String> {
        let mut all = vec!["printf".to_owned(), "%s\\0".to_owned()];
        all.extend(words.iter().cloned());
        let output = std::process::Command::new("sh")
            .args(["-c", &line(&all)])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn odd_words_survive_a_shell() {
        let words = [
            "a b", "it's", "$HOME", "`x`", "\\", "\"", "\n", "*", "", "-n", "ü",
        ];
        let words = words.map(str::to_owned);
        assert_eq!(words_back(&words), words);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_words_survive_a_shell(words in proptest::collection::vec("[^\\x00]{0,12}", 1..4)) {
            prop_assert_eq!(words_back(&words), words);
        }
    }

    #[test]
    fn commands_have_marks_of_their_own() {
        let command = Command::new("x").env("A", "b c").arg("y");
        let (one, two) = (wrap(&command), wrap(&command));
        assert_ne!(one.mark, two.mark);
        assert_eq!(
            one.words[4..],
            [
                "user".to_owned(),
                one.mark,
                "A=b c".into(),
                "x".into(),
                "y".into()
            ]
        );
    }
}
