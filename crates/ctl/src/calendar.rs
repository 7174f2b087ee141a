//! Points in time for people, in UTC.

const SECONDS_A_DAY: i64 = 86_400;

/// `2026-11-21 02:45:08` for seconds since 1970 in UTC, by the Gregorian calendar, before 1970 too.
pub(crate) fn utc(unix_s: i64) -> String {
    let (year, month, day) = date(unix_s.div_euclid(SECONDS_A_DAY));
    let second = unix_s.rem_euclid(SECONDS_A_DAY);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// The date that lies `days` after 1970-01-01. Years are counted from March, so that the leap day is the
/// last of its year, and eras of 400 years, which all have the same number of days.
fn date(days: i64) -> (i64, i64, i64) {
    let since_era_zero = days.saturating_add(719_468);
    let era = since_era_zero.div_euclid(146_097);
    let day_of_era = since_era_zero.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_seconds_have_known_dates() {
        for (unix_s, text) in [
            (0, "1970-01-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_000_000_000, "2001-09-09 01:46:40"),
            (4_107_542_399, "2100-02-28 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(utc(unix_s), text);
        }
        assert!(!utc(i64::MIN).is_empty() && !utc(i64::MAX).is_empty());
    }
}
