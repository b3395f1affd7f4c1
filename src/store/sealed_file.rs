//! One sealed file of any length, written and read as a stream of pieces, each
//! AES-256-GCM under the file's own key. A piece's number and whether it is the
//! last are in its nonce: pieces left out, repeated, moved or cut off at the end
//! do not open.
//!
//! ```text
//! "sceau backup 1\n"  salt (32)  { length of the sealed piece (4, BE)  piece }*
//! ```

use super::seal::Seal;
use crate::base::random;
use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use std::io::{self, Read, Write};

const HEAD: &[u8] = b"sceau backup 1\n";
const SALT_BYTES: usize = 32;
/// Plain bytes of a piece but the last.
const PIECE_BYTES: usize = 1 << 20;
const TAG_BYTES: usize = 16;

fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce[8] = u8::from(last);
    // Unique for the key: the key is the file's own.
    Nonce::assume_unique_for_key(nonce)
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Seals what is written.
pub(super) struct Sealing<W: Write> {
    out: W,
    key: LessSafeKey,
    number: u64,
    piece: Vec<u8>,
}

impl<W: Write> Sealing<W> {
    pub(super) fn begin(mut out: W, seal: &Seal) -> io::Result<Self> {
        let salt = random::bytes::<SALT_BYTES>();
        out.write_all(HEAD)?;
        out.write_all(&salt)?;
        Ok(Self {
            out,
            key: seal.backup_key(&salt),
            number: 0,
            piece: Vec::with_capacity(PIECE_BYTES + TAG_BYTES),
        })
    }

    /// Seals the last piece and gives the file back.
    pub(super) fn end(mut self) -> io::Result<W> {
        self.piece_out(true)?;
        Ok(self.out)
    }

    fn piece_out(&mut self, last: bool) -> io::Result<()> {
        let sealed = self.key.seal_in_place_append_tag(
            nonce(self.number, last),
            Aad::from(HEAD),
            &mut self.piece,
        );
        sealed.map_err(|_| broken("cannot be sealed"))?;
        let length = u32::try_from(self.piece.len()).map_err(|_| broken("piece too long"))?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&self.piece)?;
        self.piece.clear();
        self.number += 1;
        Ok(())
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only once more is to come is a full piece known not to be the last.
        if self.piece.len() == PIECE_BYTES {
            self.piece_out(false)?;
        }
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Opens what is read. Ends only where the last piece ends.
pub(super) struct Opening<R: Read> {
    from: R,
    key: LessSafeKey,
    number: u64,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R: Read> Opening<R> {
    pub(super) fn begin(mut from: R, seal: &Seal) -> io::Result<Self> {
        let mut head = [0; HEAD.len()];
        from.read_exact(&mut head)?;
        if head != HEAD {
            return Err(broken("is not a backup of this version"));
        }
        let mut salt = [0; SALT_BYTES];
        from.read_exact(&mut salt)?;
        Ok(Self {
            from,
            key: seal.backup_key(&salt),
            number: 0,
            piece: Vec::new(),
            at: 0,
            ended: false,
        })
    }

    fn piece_in(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.from.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > PIECE_BYTES + TAG_BYTES {
            return Err(broken("is damaged"));
        }
        let mut sealed = vec![0; length];
        self.from.read_exact(&mut sealed)?;
        for last in [false, true] {
            let mut piece = sealed.clone();
            let nonce = nonce(self.number, last);
            if let Ok(plain) = self.key.open_in_place(nonce, Aad::from(HEAD), &mut piece) {
                let length = plain.len();
                piece.truncate(length);
                (self.piece, self.at, self.ended) = (piece, 0, last);
                self.number += 1;
                return match last {
                    true => self.nothing_follows(),
                    false => Ok(()),
                };
            }
        }
        Err(broken("is damaged, or sealed with another key"))
    }

    fn nothing_follows(&mut self) -> io::Result<()> {
        match self.from.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(broken("goes on after its end")),
        }
    }
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if self.ended {
                return Ok(0);
            }
            self.piece_in()?;
        }
        let there = &self.piece[self.at..];
        let given = there.len().min(out.len());
        out[..given].copy_from_slice(&there[..given]);
        self.at += given;
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Secret;

    fn seal(key: u8) -> Seal {
        Seal::new(&Secret::new(vec![key; 32]))
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::begin(Vec::new(), &seal(1)).unwrap();
        sealing.write_all(plain).unwrap();
        sealing.end().unwrap()
    }

    fn opened(sealed: &[u8], key: u8) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Opening::begin(sealed, &seal(key))?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn what_goes_in_comes_out_and_every_change_is_noticed() {
        for length in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES] {
            let plain = vec![7; length];
            let file = sealed(&plain);
            assert!(opened(&file, 1).unwrap() == plain, "{length}");
            assert!(opened(&file, 2).is_err());
            for at in (0..file.len()).step_by(file.len() / 40 + 1) {
                let mut bad = file.clone();
                bad[at] ^= 1;
                assert!(opened(&bad, 1).is_err(), "{length}: byte {at}");
                assert!(opened(&file[..at], 1).is_err(), "{length}: cut at {at}");
            }
            let more = [file.as_slice(), b"x"].concat();
            assert!(opened(&more, 1).is_err(), "{length}: more");
        }
    }

    #[test]
    fn a_file_that_ends_after_a_whole_piece_does_not_open() {
        let file = sealed(&vec![7; 2 * PIECE_BYTES + 1]);
        let whole = HEAD.len() + SALT_BYTES + 4 + PIECE_BYTES + TAG_BYTES;
        assert!(opened(&file[..whole], 1).is_err());
        // Nor one whose pieces changed places.
        let (start, piece) = (HEAD.len() + SALT_BYTES, 4 + PIECE_BYTES + TAG_BYTES);
        let moved = [
            &file[..start],
            &file[start + piece..start + 2 * piece],
            &file[start..start + piece],
            &file[start + 2 * piece..],
        ];
        assert!(opened(&moved.concat(), 1).is_err());
    }
}
