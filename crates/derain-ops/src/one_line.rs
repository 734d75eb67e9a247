//! What candle says of an error, fit for a message. Its own text has several lines: the backtrace that
//! `RUST_BACKTRACE=1` adds, and contexts.

use std::fmt::Display;

use candle_core::Error as Candle;

/// In one line: contexts first, no backtrace. The error's `{:?}` still has all.
pub fn one_line(error: &Candle) -> String {
    match error {
        Candle::WithBacktrace { inner, .. } => one_line(inner),
        Candle::Context { inner, context } => format!("{}: {}", first(context), one_line(inner)),
        Candle::WithPath { inner, path } => format!("{}: {}", path.display(), one_line(inner)),
        Candle::WrappedContext { wrapped, context } => {
            let wrapped = wrapped.downcast_ref().map_or_else(|| first(wrapped), one_line);
            format!("{}: {wrapped}", first(context))
        }
        other => first(other),
    }
}

/// For errors that stand as a source, where whoever prints the chain prints them by their own text.
pub fn without_backtrace(error: Candle) -> Candle {
    match error {
        Candle::WithBacktrace { inner, .. } => without_backtrace(*inner),
        other => other,
    }
}

/// What is wrapped as text may have a backtrace of its own.
fn first(text: &dyn Display) -> String {
    text.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::backtrace::Backtrace;

    use super::*;
    use crate::Error;

    fn traced(inner: Candle) -> Candle {
        Candle::WithBacktrace { inner: Box::new(inner), backtrace: Box::new(Backtrace::force_capture()) }
    }

    #[test]
    fn backtraces_and_contexts_make_no_further_lines() {
        let plain = || Candle::Msg("refused".into());
        for (error, said) in [
            (plain(), "refused"),
            (traced(plain()), "refused"),
            (traced(traced(plain()).context("a batch")), "a batch: refused"),
            (traced(plain()).with_path("a.pth"), "a.pth: refused"),
            (Candle::wrap(traced(plain())), "refused"),
            (Candle::WrappedContext { wrapped: Box::new(traced(plain())), context: "b".into() }, "b: refused"),
        ] {
            assert_eq!(one_line(&error), said);
            assert_eq!(Error::from(error).to_string(), said);
        }
        assert!(
            traced(plain()).to_string().lines().count() > 1,
            "candle has its own text in one line: this file may go"
        );
        assert_eq!(without_backtrace(traced(traced(plain()))).to_string(), "refused");
    }
}
