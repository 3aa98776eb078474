//! Durations, sizes and rates as people write them: `15ms`, `2s`, `8MiB`, `90MB/s`.

use std::time::Duration;

/// A text that is no quantity of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {kind}: write it like {example}")]
pub struct UnitError {
    text: String,
    kind: &'static str,
    example: &'static str,
}

/// A duration: a number, fractions allowed, and `ns`, `us`, `ms`, `s`, `m`, `h` or `d`. Only `0` needs no unit.
///
/// # Errors
/// Anything else, negative numbers included.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let error = || UnitError { text: text.to_owned(), kind: "duration", example: "15ms, 2s or 1.5h" };
    let (number, unit) = split(text).ok_or_else(error)?;
    let seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        "" if number == 0.0 => 0.0,
        _ => return Err(error()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| error())
}

/// Bytes: a number, fractions allowed, and `B`, `kB`, `MB`, `GB`, `TB` (powers of 1000), `KiB`, `MiB`, `GiB`, `TiB` or
/// `K`, `M`, `G`, `T` (powers of 1024). Without a unit: bytes. Capitals do not matter.
///
/// # Errors
/// Anything else, and fractions of a byte.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let error = || UnitError { text: text.to_owned(), kind: "size", example: "4096, 8MiB or 1.5GB" };
    let (number, unit) = split(text).ok_or_else(error)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1u64,
        "kb" => 1000,
        "mb" => 1000_u64.pow(2),
        "gb" => 1000_u64.pow(3),
        "tb" => 1000_u64.pow(4),
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err(error()),
    };
    // Whole numbers are exact whatever their size; a float would round them.
    let digits = &text.trim()[..text.trim().len() - unit.len()];
    if let Ok(whole) = digits.trim().parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(error);
    }
    let bytes = number * factor as f64;
    if bytes.fract() != 0.0 || bytes > (1u64 << 53) as f64 {
        return Err(error());
    }
    Ok(bytes as u64)
}

/// Bytes per second: a size as [`parse_bytes`] takes it, and `/s`, which may be left out.
///
/// # Errors
/// Anything else, and zero.
pub fn parse_rate(text: &str) -> Result<u64, UnitError> {
    let error = || UnitError { text: text.to_owned(), kind: "rate", example: "90MB/s or 8MiB/s" };
    let trimmed = text.trim();
    let size = trimmed.strip_suffix("/s").unwrap_or(trimmed);
    parse_bytes(size).ok().filter(|rate| *rate > 0).ok_or_else(error)
}

/// The number, not negative, and what follows it.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse_bytes, parse_duration, parse_rate};

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("15ms"), Ok(Duration::from_millis(15)));
        assert_eq!(parse_duration(" 2 s"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_duration("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("500us"), Ok(Duration::from_micros(500)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        for bad in ["", "5", "-1s", "s", "1.2.3s", "1y", "1e3s", "99999999999999999999d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_tell_powers_of_1000_from_powers_of_1024() {
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert_eq!(parse_bytes("90MB"), Ok(90_000_000));
        assert_eq!(parse_bytes("8MiB"), Ok(8 << 20));
        assert_eq!(parse_bytes("1.5 GiB"), Ok(3 << 29));
        assert_eq!(parse_bytes("64k"), Ok(64 << 10));
        assert_eq!(parse_bytes("18446744073709551615"), Ok(u64::MAX));
        for bad in ["", "B", "-1", "0.5", "1.0001KB7", "3 apples", "18446744073709551616", "20000000TiB"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_sizes_per_second() {
        assert_eq!(parse_rate("90MB/s"), Ok(90_000_000));
        assert_eq!(parse_rate("1MiB"), Ok(1 << 20));
        for bad in ["0", "/s", "1MB/h"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_names_the_text_and_an_example() {
        let error = parse_duration("soon").expect_err("no duration");
        assert_eq!(error.to_string(), "\"soon\" is no duration: write it like 15ms, 2s or 1.5h");
    }
}
