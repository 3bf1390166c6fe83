//! From when to when a certificate is valid: the little of X.509 that nobody else tells us.
//!
//! Enters: DER. Leaves: two moments, or nothing where it is not as expected; who has to trust a certificate
//! checks all of it elsewhere.

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// First and last second of a certificate's validity, since 1970.
pub fn validity(certificate: &[u8]) -> Option<(i64, i64)> {
    let (outer, _) = element(certificate, SEQUENCE)?;
    let (mut fields, _) = element(outer, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = skip(fields)?;
    }
    // Serial number, algorithm, issuer.
    let fields = skip(skip(skip(fields)?)?)?;
    let (dates, _) = element(fields, SEQUENCE)?;
    let (since, rest) = moment(dates)?;
    let (until, _) = moment(rest)?;
    Some((since, until))
}

/// Content of the element at the beginning, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    (bytes.first() == Some(&tag)).then(|| split(bytes)).flatten()
}

fn skip(bytes: &[u8]) -> Option<&[u8]> {
    split(bytes).map(|(_, rest)| rest)
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = usize::from(*bytes.get(1)?);
    let (length, head) = if first < 0x80 {
        (first, 2)
    } else {
        let more = first - 0x80;
        let digits = bytes.get(2..2 + more).filter(|digits| digits.len() <= 4)?;
        (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), 2 + more)
    };
    let rest = bytes.get(head..)?;
    (length <= rest.len()).then(|| rest.split_at(length))
}

fn moment(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (content, rest) = split(bytes)?;
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let text = match *bytes.first()? {
        // Two digits of the year; below 50 it is the 21st century.
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |at: std::ops::Range<usize>| text.get(at).filter(|_| text.len() == 14);
    let written = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(8..10)?,
        part(10..12)?,
        part(12..14)?
    );
    Some((crate::model::Timestamp::parse(&written).ok()?.seconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        if content.len() < 128 {
            out.push(u8::try_from(content.len()).unwrap());
        } else {
            out.push(0x82);
            out.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        }
        out.extend(content);
        out
    }

    fn certificate(since: &[u8], until: &[u8]) -> Vec<u8> {
        let issuer = wrap(SEQUENCE, &[0; 200]);
        let dates = wrap(SEQUENCE, &[since, until].concat());
        let fields = [
            wrap(VERSION, &wrap(2, &[2])),
            wrap(2, &[7]),
            wrap(SEQUENCE, &[]),
            issuer,
            dates,
            wrap(SEQUENCE, &[]),
        ];
        wrap(SEQUENCE, &wrap(SEQUENCE, &fields.concat()))
    }

    #[test]
    fn both_forms_of_time_are_read_and_nothing_else() {
        let utc = wrap(UTC_TIME, b"260105090000Z");
        let general = wrap(GENERALIZED_TIME, b"20500101000000Z");
        let der = certificate(&utc, &general);
        assert_eq!(validity(&der), Some((1_767_603_600, 2_524_608_000)));
        for end in 0..der.len() {
            assert_eq!(validity(&der[..end]), None, "{end}");
        }
        assert_eq!(validity(&certificate(&utc, &wrap(UTC_TIME, b"2601"))), None);
        assert_eq!(validity(&certificate(&utc, &wrap(4, b"260105090000Z"))), None);
        assert_eq!(validity(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
