//! What goes wrong, and when: by a script, or by chance that the seed decides.

use std::io;
use std::time::Duration;

use super::choices::Endpoint;
use super::random::Random;

/// One thing that goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed; nothing was done.
    Refused,
    /// The request was carried out (a scroll has moved on), then the connection is closed without an answer.
    AnswerLost,
    /// Nothing is done for so long, longer than clients wait; then the connection is closed.
    Held(Duration),
    /// The right answer, so much later.
    Slow(Duration),
    /// The body breaks off halfway: `Content-Length` promised more.
    BrokenBody,
    /// Half the JSON, as a whole answer with 200.
    TruncatedJson,
    /// A web page, with 200.
    Html,
    /// An error status out of turn, such as 408, 429, 500, 502 or 503.
    Status {
        /// The status.
        code: u16,
        /// `Retry-After` in seconds.
        retry_after: Option<u64>,
    },
    /// To another place; a client that follows must not take the key there.
    Redirect {
        /// 301, 302, 307 or 308.
        code: u16,
        /// The `Location`.
        to: String,
    },
    /// The right records with the cursor that was asked for, once more; the first page is right.
    RepeatedCursor,
}

/// What goes wrong. Requests are numbered from 1 for each endpoint; those that the key or the limit refused do
/// not count.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// How likely a request meets one of `kinds`, from 0 to 1.
    pub probability: f64,
    /// What can happen by chance, all as likely.
    pub kinds: Vec<Fault>,
    /// What happens to the n-th request of an endpoint, whatever chance says.
    pub script: Vec<(Endpoint, u64, Fault)>,
}

impl Faults {
    /// What happens to the `nth` request of `endpoint`.
    pub(super) fn draw(&self, seed: u64, endpoint: Endpoint, nth: u64) -> Option<Fault> {
        let scripted = self
            .script
            .iter()
            .find(|(at, number, _)| (*at, *number) == (endpoint, nth));
        if let Some((_, _, fault)) = scripted {
            return Some(fault.clone());
        }
        let mut random = Random::new(seed ^ (7 + endpoint as u64), nth);
        let unlucky = !self.kinds.is_empty() && random.fraction() < self.probability;
        unlucky.then(|| random.pick(&self.kinds.iter().collect::<Vec<_>>()).clone())
    }

    pub(super) fn check(&self) -> io::Result<()> {
        let all = || {
            self.kinds
                .iter()
                .chain(self.script.iter().map(|(_, _, fault)| fault))
        };
        let odd = |fault: &Fault| match fault {
            Fault::Status { code, .. } => !(200..600).contains(code),
            Fault::Redirect { code, to } => {
                !(300..400).contains(code) || !to.bytes().all(|byte| byte.is_ascii_graphic())
            }
            _ => false,
        };
        let wrong = if !(0.0..=1.0).contains(&self.probability) {
            "the probability of faults must be between 0 and 1"
        } else if self.script.iter().any(|(_, nth, _)| *nth == 0) {
            "scripted requests are numbered from 1"
        } else if all().any(odd) {
            "a fault has an impossible status or location"
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_exact() {
        let script = vec![(Endpoint::Messages, 3, Fault::Refused)];
        let faults = Faults {
            script,
            ..Faults::default()
        };
        let drawn = |endpoint| {
            (1..=5)
                .map(|nth| faults.draw(1, endpoint, nth))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            drawn(Endpoint::Messages),
            [None, None, Some(Fault::Refused), None, None]
        );
        assert_eq!(drawn(Endpoint::Conversations), [const { None }; 5]);
    }

    #[test]
    fn chance_follows_seed_and_probability() {
        let kinds = vec![Fault::Html, Fault::AnswerLost];
        let faults = Faults {
            probability: 0.2,
            kinds,
            ..Faults::default()
        };
        let drawn = |seed| {
            (1..=1000)
                .map(|nth| faults.draw(seed, Endpoint::Messages, nth))
                .collect::<Vec<Option<Fault>>>()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        let count = |fault: &Fault| drawn(1).iter().flatten().filter(|drawn| *drawn == fault).count();
        assert!((60..140).contains(&count(&Fault::Html)) && (60..140).contains(&count(&Fault::AnswerLost)));
    }

    #[test]
    fn impossible_settings_are_told() {
        let refused = |faults: Faults| faults.check().is_err();
        assert!(refused(Faults {
            probability: 1.5,
            ..Faults::default()
        }));
        assert!(refused(Faults {
            kinds: vec![Fault::Status {
                code: 99,
                retry_after: None
            }],
            ..Faults::default()
        }));
        assert!(refused(Faults {
            script: vec![(Endpoint::Messages, 0, Fault::Html)],
            ..Faults::default()
        }));
        assert!(!refused(Faults::default()));
    }
}
