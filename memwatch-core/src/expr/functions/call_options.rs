//! Settings of a call: texts like `"rel_min = 0.1"` after the other arguments.

use super::Call;
use crate::Result;
use crate::expr::NodeKind;
use crate::expr::eval::Evaluator;
use crate::suggest::closest;

/// One setting of a call.
pub(crate) struct CallOption<T> {
    /// As it is written before the `=`.
    pub(crate) name: &'static str,
    /// What may stand after it.
    pub(crate) expects: &'static str,
    /// What it is for, and what holds without it.
    pub(crate) about: &'static str,
    /// Takes the text after `=`; `None` when it is not what is expected.
    pub(crate) set: fn(&mut T, &str) -> Option<()>,
}

/// All settings of a function, group by group.
pub(crate) struct CallOptions<T: 'static>(pub(crate) &'static [&'static [CallOption<T>]]);

/// What can be known of settings without knowing what they are set in.
pub trait DescribedOptions: Sync {
    /// Name, expected value and meaning of each.
    fn describe(&self) -> Vec<[&'static str; 3]>;

    /// Whether a text sets one of them.
    ///
    /// # Errors
    /// Says what is wrong with it.
    fn check(&self, text: &str) -> Result<(), String>;
}

impl<T: Default> CallOptions<T> {
    /// What the texts say; what they do not name stays at its default.
    pub(crate) fn read<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> Result<T, String> {
        let mut settings = T::default();
        for text in texts {
            self.apply(&mut settings, text)?;
        }
        Ok(settings)
    }

    /// As [`read`](CallOptions::read), from the arguments of a call after the first `skip`.
    pub(crate) fn of_call(
        &self,
        evaluator: &Evaluator<'_>,
        call: &Call<'_>,
        skip: usize,
    ) -> Result<T> {
        let mut settings = T::default();
        for arg in call.args.iter().skip(skip) {
            let text = evaluator.text(arg, call.steps)?;
            self.apply(&mut settings, &text)
                .map_err(|message| evaluator.fail(arg.span, message))?;
        }
        Ok(settings)
    }

    fn all(&self) -> impl Iterator<Item = &'static CallOption<T>> {
        self.0.iter().copied().flatten()
    }

    fn apply(&self, settings: &mut T, text: &str) -> Result<(), String> {
        let Some((name, value)) = text.split_once('=') else {
            return Err(format!(
                "expected an option like \"{} = …\", got \"{text}\"",
                self.all().next().map_or("name", |option| option.name)
            ));
        };
        let (name, value) = (name.trim(), value.trim());
        let Some(option) = self.all().find(|option| option.name == name) else {
            let names: Vec<&str> = self.all().map(|option| option.name).collect();
            let meant = closest(name, names.iter().copied())
                .map(|meant| format!("; did you mean `{meant}`?"))
                .unwrap_or_default();
            return Err(format!(
                "unknown option `{name}`: expected {}{meant}",
                names.join(", ")
            ));
        };
        (option.set)(settings, value).ok_or_else(|| {
            format!(
                "option `{name}`: expected {}, got `{value}`",
                option.expects
            )
        })
    }
}

impl<T: Default> DescribedOptions for CallOptions<T> {
    fn describe(&self) -> Vec<[&'static str; 3]> {
        self.all()
            .map(|option| [option.name, option.expects, option.about])
            .collect()
    }

    fn check(&self, text: &str) -> Result<(), String> {
        self.read([text]).map(|_| ())
    }
}

/// A number as expressions write it: `16Mi`, `0.05`, `5m` (seconds); or `5%`.
pub(crate) fn number(text: &str) -> Option<f64> {
    if let Some(percent) = text.strip_suffix('%') {
        return number(percent.trim_end()).map(|value| value / 100.0);
    }
    let expr = crate::expr::parse(text).ok()?;
    match &expr.root().without_parens().kind {
        NodeKind::Number(number) if number.param.is_none() => {
            Some(number.value).filter(|value| value.is_finite())
        }
        _ => None,
    }
}

/// A number that is not negative.
pub(crate) fn amount(text: &str) -> Option<f64> {
    number(text).filter(|value| *value >= 0.0)
}

/// A whole number of at least `least`.
pub(crate) fn count(text: &str, least: usize, most: usize) -> Option<usize> {
    let count: usize = text.parse().ok()?;
    (least <= count && count <= most).then_some(count)
}

/// One of some words.
pub(crate) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == text)?;
    Some(found.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Settings {
        share: f64,
        up: bool,
    }

    const OPTIONS: CallOptions<Settings> = CallOptions(&[&[
        CallOption {
            name: "share",
            expects: "a number that is not negative",
            about: "A share.",
            set: |settings, text| amount(text).map(|share| settings.share = share),
        },
        CallOption {
            name: "direction",
            expects: "up or down",
            about: "Which way.",
            set: |settings, text| {
                word(text, &[("up", true), ("down", false)]).map(|up| settings.up = up)
            },
        },
    ]]);

    #[test]
    fn options_are_read_or_refused_by_name() {
        let read = |texts: &[&str]| OPTIONS.read(texts.iter().copied());
        assert_eq!(read(&[]), Ok(Settings::default()));
        for (texts, share, up) in [
            (&["share = 5%", "direction=up"][..], 0.05, true),
            (&["share=16Ki"], 16_384.0, false),
            (&["share = 5m"], 300.0, false),
            (&["share = 1", "share = 2"], 2.0, false),
        ] {
            assert_eq!(read(texts), Ok(Settings { share, up }), "{texts:?}");
        }
        for (text, message) in [
            ("up", "expected an option like \"share = …\", got \"up\""),
            (
                "shar = 1",
                "unknown option `shar`: expected share, direction; did you mean `share`?",
            ),
            (
                "share = -1",
                "option `share`: expected a number that is not negative, got `-1`",
            ),
            (
                "share = x",
                "option `share`: expected a number that is not negative, got `x`",
            ),
            (
                "direction = ",
                "option `direction`: expected up or down, got ``",
            ),
        ] {
            assert_eq!(read(&[text]), Err(message.to_owned()));
            assert!(OPTIONS.check(text).is_err());
        }
    }
}
