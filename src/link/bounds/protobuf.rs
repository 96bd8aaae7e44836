//! Counts the repeated fields of a protobuf message before it is decoded: an empty message of two bytes takes
//! hundreds of them in memory.
//!
//! Knows no message. Where a decoder gives up, the count ends as well.

use super::Excess;

/// How often one field may occur, over all of a message.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Numbers of the fields on the way to it, from the outside.
    pub path: &'static [u32],
    pub most: usize,
    /// In the plural, for messages.
    pub what: &'static str,
}

/// Paths are no longer than this.
const DEPTH: usize = 8;

struct Count<'a> {
    limits: &'a [Most],
    found: [usize; 4],
    /// Bytes of the longest field that holds no other field of a path.
    text: usize,
    /// Where the count is.
    at: [u32; DEPTH],
}

/// Holds `message` against at most four `limits`. `text` bounds the length of whatever holds none of the
/// counted fields.
///
/// # Errors
/// With what is too much.
pub fn check(message: &[u8], limits: &[Most], text: usize) -> Result<(), Excess> {
    Count { limits, found: [0; 4], text, at: [0; DEPTH] }.walk(message, 0)
}

impl Count<'_> {
    fn walk(&mut self, mut rest: &[u8], depth: usize) -> Result<(), Excess> {
        while let Some((number, content)) = next(&mut rest) {
            self.at[depth] = number;
            let here = &self.at[..=depth];
            let mut leads_on = false;
            for (limit, found) in self.limits.iter().zip(&mut self.found) {
                if limit.path == here {
                    *found += 1;
                    if *found > limit.most {
                        return Err(Excess::Count { what: limit.what, most: limit.most });
                    }
                }
                leads_on |= limit.path.len() > here.len() && limit.path.starts_with(here);
            }
            if leads_on {
                self.walk(content, depth + 1)?;
            } else if content.len() > self.text {
                return Err(Excess::Text { most: self.text });
            }
        }
        Ok(())
    }
}

/// Number and content of the next field. `None`: the message ends, or cannot be decoded from here on. What a
/// group holds counts as if the group were not there.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u32, &'a [u8])> {
    let key = u32::try_from(varint(rest)?).ok()?;
    let length = match key & 7 {
        0 => {
            varint(rest)?;
            0
        }
        1 => 8,
        2 => usize::try_from(varint(rest)?).ok()?,
        3 | 4 => 0,
        5 => 4,
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some((key >> 3, content))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::link::local::answers::wire::{DeviceWithVitals, Devices, Vital};

    const LIMITS: [Most; 2] = [
        Most { path: &[1], most: 10, what: "devices" },
        Most { path: &[1, 2], most: 30, what: "measurements" },
    ];

    fn devices(number: usize, vitals: usize) -> Vec<u8> {
        let device = DeviceWithVitals { vitals: vec![Vital::default(); vitals], ..Default::default() };
        Devices { devices: vec![device; number] }.encode_to_vec()
    }

    #[test]
    fn repeated_fields_are_counted_over_the_whole_message() {
        assert_eq!(check(&devices(10, 3), &LIMITS, 100), Ok(()));
        assert_eq!(check(&devices(11, 0), &LIMITS, 100), Err(Excess::Count { what: "devices", most: 10 }));
        assert_eq!(
            check(&devices(8, 4), &LIMITS, 100),
            Err(Excess::Count { what: "measurements", most: 30 })
        );
    }

    #[test]
    fn a_group_hides_nothing_and_what_cannot_be_decoded_ends_the_count() {
        let mut grouped = vec![0x1b];
        grouped.extend(devices(11, 0));
        assert!(check(&grouped, &LIMITS, 100).is_err());
        let mut cut = devices(3, 3);
        cut.pop();
        assert_eq!(check(&cut, &LIMITS, 100), Ok(()));
        assert_eq!(check(&[0xff; 40], &LIMITS, 100), Ok(()));
    }

    #[test]
    fn a_long_text_is_refused_wherever_it_is() {
        let name = "n".repeat(101);
        let vital = Vital { name, ..Vital::default() };
        let device = DeviceWithVitals { vitals: vec![vital], ..Default::default() };
        let message = Devices { devices: vec![device] }.encode_to_vec();
        assert_eq!(check(&message, &LIMITS, 100), Err(Excess::Text { most: 100 }));
        assert_eq!(check(&message, &LIMITS, 110), Ok(()));
    }
}
