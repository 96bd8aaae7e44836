//! What a WebSocket client may send: its frames are checked, and what it sends is counted, before any of it
//! is buffered.
//!
//! The codec behind it believes a frame header and buffers whatever length it claims. Clients have nothing to
//! say but pings and goodbyes, so only control frames, of 125 bytes at most, are passed on; the payload of
//! other frames is dropped as it arrives. Knows neither connections nor sessions, and is given the time.
//! There is one for each client, so it is small.

use bytes::BytesMut;

use crate::audience::Cut;

/// The largest payload of a frame, bytes.
pub const LARGEST_FRAME: u16 = 4096;
/// A client may send this many frames at once …
pub const MOST_FRAMES: u16 = 100;
/// … and this many each second from then on.
const FRAMES_PER_SECOND: u16 = 10;
/// The same for bytes, headers included.
pub const MOST_BYTES: u16 = 32 << 10;
const BYTES_PER_SECOND: u16 = 2 << 10;

/// Two bytes, eight of length, four of mask.
const LONGEST_HEAD: usize = 14;
const MASK: usize = 4;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Why a client is no longer listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// RFC 6455 does not allow this frame here.
    Protocol,
    /// A frame claims more than [`LARGEST_FRAME`].
    TooLarge,
    /// More frames or bytes than a client has reason to send.
    TooMuch,
}

impl From<Refusal> for Cut {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Protocol => Self::Protocol,
            Refusal::TooLarge => Self::TooLarge,
            Refusal::TooMuch => Self::TooMuch,
        }
    }
}

/// Reads the frames of one client in whatever pieces they arrive.
#[derive(Debug)]
pub struct Intake {
    /// As much of the header of the next frame as has arrived; a piece may end anywhere.
    head: [u8; LONGEST_HEAD],
    /// How many bytes of `head` have arrived.
    arrived: u8,
    /// How much payload of the present frame has not arrived.
    rest: u16,
    /// Whether the present frame is passed on.
    passes: bool,
    /// A message in several frames has begun; the next data frame has to continue it.
    is_fragmented: bool,
    /// The present frame is a goodbye: whatever follows it means nothing.
    is_goodbye: bool,
    /// What may still be sent.
    budget: Budget,
}

impl Intake {
    /// `now` counts seconds from wherever the caller likes.
    pub fn new(now: u32) -> Self {
        Self {
            head: [0; LONGEST_HEAD],
            arrived: 0,
            rest: 0,
            passes: false,
            is_fragmented: false,
            is_goodbye: false,
            budget: Budget { frames: MOST_FRAMES, bytes: MOST_BYTES, filled: now },
        }
    }

    /// Whether the client has said goodbye.
    pub fn is_over(&self) -> bool {
        self.is_goodbye && self.rest == 0
    }

    /// Takes what has arrived and appends to `passed` what the codec is to see of it.
    ///
    /// # Errors
    /// If the client is to be listened to no longer. Nothing may be given to this any more.
    pub fn take(&mut self, now: u32, bytes: &[u8], passed: &mut BytesMut) -> Result<(), Refusal> {
        let mut bytes = bytes;
        while !self.is_over()
            && let Some(&first) = bytes.first()
        {
            if self.rest == 0 {
                bytes = &bytes[1..];
                self.head[usize::from(self.arrived)] = first;
                self.arrived += 1;
                if let Some(head) = Head::read(self.arrived())? {
                    self.begin(&head, now, passed)?;
                }
            } else {
                let here = u16::try_from(bytes.len()).map_or(self.rest, |here| here.min(self.rest));
                let (payload, others) = bytes.split_at(here.into());
                if self.passes {
                    passed.extend_from_slice(payload);
                }
                self.rest -= here;
                bytes = others;
            }
        }
        Ok(())
    }

    fn arrived(&self) -> &[u8] {
        &self.head[..usize::from(self.arrived)]
    }

    /// A header is complete.
    fn begin(&mut self, head: &Head, now: u32, passed: &mut BytesMut) -> Result<(), Refusal> {
        self.passes = head.is_control();
        if !self.passes {
            if (head.opcode == CONTINUATION) != self.is_fragmented {
                return Err(Refusal::Protocol);
            }
            self.is_fragmented = !head.is_final;
        }
        self.budget.charge(now, u16::from(self.arrived) + head.length)?;

        if self.passes {
            passed.extend_from_slice(self.arrived());
        }
        self.is_goodbye = head.opcode == CLOSE;
        self.rest = head.length;
        self.arrived = 0;
        Ok(())
    }
}

/// The header of a frame.
struct Head {
    is_final: bool,
    opcode: u8,
    length: u16,
}

impl Head {
    /// `None` if it is not complete. Whatever is wrong with it is said as soon as it can be seen.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Refusal> {
        const FINAL: u8 = 0x80;
        const RESERVED: u8 = 0x70;
        const MASKED: u8 = 0x80;

        let [first, others @ ..] = bytes else { return Ok(None) };
        let (is_final, opcode) = (first & FINAL != 0, first & 0x0f);
        let is_known = matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG);
        let is_control = opcode >= CLOSE;
        if first & RESERVED != 0 || !is_known || (is_control && !is_final) {
            return Err(Refusal::Protocol);
        }
        let [second, others @ ..] = others else { return Ok(None) };
        let short = second & !MASKED;
        if second & MASKED == 0 || (is_control && short > 125) {
            return Err(Refusal::Protocol);
        }

        let wide = match short {
            126 => others.first_chunk().map(|length| u64::from(u16::from_be_bytes(*length))),
            127 => others.first_chunk().map(|length| u64::from_be_bytes(*length)),
            short => Some(short.into()),
        };
        let Some(length) = wide else { return Ok(None) };
        let (least, width) = match short {
            126 => (126, 2),
            127 => (1 << 16, 8),
            _ => (0, 0),
        };
        // The shortest form that holds a length is the only one, and the topmost bit of the longest is
        // reserved.
        if length < least || length > i64::MAX as u64 {
            return Err(Refusal::Protocol);
        }
        let length = u16::try_from(length).ok().filter(|length| *length <= LARGEST_FRAME);
        let length = length.ok_or(Refusal::TooLarge)?;
        Ok((others.len() == width + MASK).then_some(Self { is_final, opcode, length }))
    }

    fn is_control(&self) -> bool {
        self.opcode >= CLOSE
    }
}

/// What a client may still send. Filled by the second, which needs no arithmetic with fractions.
#[derive(Debug)]
struct Budget {
    frames: u16,
    bytes: u16,
    /// The second up to which it has been filled.
    filled: u32,
}

impl Budget {
    /// Takes a frame of so many bytes out of it.
    fn charge(&mut self, now: u32, bytes: u16) -> Result<(), Refusal> {
        let seconds = u16::try_from(now.saturating_sub(self.filled)).unwrap_or(u16::MAX);
        self.filled = now;
        let filled = |left: u16, rate: u16, most| left.saturating_add(rate.saturating_mul(seconds)).min(most);
        self.frames = filled(self.frames, FRAMES_PER_SECOND, MOST_FRAMES);
        self.bytes = filled(self.bytes, BYTES_PER_SECOND, MOST_BYTES);

        self.frames = self.frames.checked_sub(1).ok_or(Refusal::TooMuch)?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Refusal::TooMuch)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame, all of it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            length @ ..126 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.extend(payload);
        frame
    }

    /// What becomes of `bytes` in pieces of `size`.
    fn taken(bytes: &[u8], size: usize) -> (Result<(), Refusal>, BytesMut) {
        let (mut intake, mut passed) = (Intake::new(7), BytesMut::new());
        let outcome = bytes.chunks(size).try_for_each(|piece| intake.take(7, piece, &mut passed));
        (outcome, passed)
    }

    #[test]
    fn control_frames_are_passed_on_and_others_are_not_in_whatever_pieces_they_come() {
        let (ping, pong, goodbye) = (frame(0x89, b"are you there"), frame(0x8a, b""), frame(0x88, &[3, 232]));
        let chatter = [frame(0x81, &[b'x'; 4096]), frame(0x01, b"he"), frame(0x80, b"llo"), frame(0x82, b"")];
        let said = [chatter.concat(), ping.clone(), pong.clone(), goodbye.clone()].concat();
        let after_it = [said.clone(), b"whatever follows".to_vec()].concat();
        for size in [1, 2, 3, 7, 4096, usize::MAX] {
            for said in [&said, &after_it] {
                let (outcome, passed) = taken(said, size);
                assert_eq!(outcome, Ok(()), "{size}");
                assert_eq!(passed, [ping.clone(), pong.clone(), goodbye.clone()].concat(), "{size}");
            }
        }
    }

    #[test]
    fn whatever_is_wrong_is_refused_at_the_header() {
        use Refusal::{Protocol, TooLarge};
        let long = |length: u64| [&[0x82, 0xff], &length.to_be_bytes()[..]].concat();
        let cases: [(&str, &[u8], Refusal); 17] = [
            ("a length of 2^63 - 1", &long(i64::MAX as u64), TooLarge),
            ("one byte too many", &[0x82, 0xfe, 0x10, 0x01], TooLarge),
            ("64 kB", &long(1 << 16), TooLarge),
            ("a reserved bit of the length", &long(1 << 63), Protocol),
            ("more bytes of length than needed", &long(5), Protocol),
            ("two bytes of length where none are needed", &[0x82, 0xfe, 0, 125], Protocol),
            ("a reserved bit: compression was not agreed on", &[0xc1], Protocol),
            ("another", &[0xa1], Protocol),
            ("the third", &[0x91], Protocol),
            ("an opcode that is none", &[0x83], Protocol),
            ("a control opcode that is none", &[0x8b], Protocol),
            ("a ping in pieces", &[0x09], Protocol),
            ("a goodbye in pieces", &[0x08], Protocol),
            ("a ping of 126 bytes", &[0x89, 0xfe], Protocol),
            ("a frame without a mask", &[0x81, 0x05], Protocol),
            ("a continuation of nothing", &frame(0x80, b""), Protocol),
            ("a message within a message", &[frame(0x01, b"x"), frame(0x81, b"")].concat(), Protocol),
        ];
        for (what, bytes, refusal) in cases {
            for size in [1, usize::MAX] {
                assert_eq!(taken(bytes, size), (Err(refusal), BytesMut::new()), "{what}");
            }
            // Only what has arrived in full decides.
            let (last, before) = bytes.split_last().unwrap();
            assert_eq!(taken(before, 1).0, Ok(()), "{what} before {last}");
        }
        assert_eq!(taken(&frame(0x82, &[0; 4096]), 1).0, Ok(()), "the largest");
    }

    #[test]
    fn a_client_may_chat_but_not_at_full_speed() {
        for (what, frame) in [("empty pings", frame(0x89, b"")), ("long texts", frame(0x81, &[b'x'; 4000]))] {
            let mut intake = Intake::new(7);
            let mut sent = |at| {
                let mut sent = 0;
                while intake.take(at, &frame, &mut BytesMut::new()) == Ok(()) {
                    sent += 1;
                }
                sent
            };
            let most = |frames: u16, bytes: u16| usize::from(frames).min(usize::from(bytes) / frame.len());
            assert_eq!(sent(7), most(MOST_FRAMES, MOST_BYTES), "{what}");
        }

        // A ping a second for a day, and a text every ten.
        let mut intake = Intake::new(7);
        for second in 7..86_400 {
            let said = if second % 10 == 0 { frame(0x81, &[b'x'; 4000]) } else { frame(0x89, b"ping") };
            assert_eq!(intake.take(second, &said, &mut BytesMut::new()), Ok(()), "{second}");
        }

        // However long it was silent, it has no more than at first.
        let burst = frame(0x89, b"").repeat(usize::from(MOST_FRAMES) + 1);
        for silence in [100, 86_400, u32::MAX] {
            let outcome = Intake::new(0).take(silence, &burst, &mut BytesMut::new());
            assert_eq!(outcome, Err(Refusal::TooMuch), "{silence}");
        }
    }
}
