//! Larger letters on the console, so that the last screen is readable from two metres: the console's own font, with each dot enlarged. No
//! crate does this, and no other font is in the initrd.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::libc::{TIOCGWINSZ, winsize};

/// Columns that a screen with a large word needs.
const LEAST_COLUMNS: usize = 80;
/// Of the kernel: dots.
const MOST: (usize, usize) = (64, 128);
/// Rows of dots from one character of a font to the next, for fonts of at most that height.
const PITCH: usize = 32;
const MOST_CHARACTERS: usize = 512;

/// `struct console_font_op` of the kernel's include/uapi/linux/kd.h.
#[repr(C)]
pub struct FontOperation {
    operation: u32,
    flags: u32,
    width: u32,
    height: u32,
    characters: u32,
    data: *mut u8,
}

const SET: u32 = 0;
const GET: u32 = 1;
/// For fonts that are higher than [`PITCH`]; since Linux 6.5.
const SET_TALL: u32 = 4;

nix::ioctl_readwrite_bad!(font, 0x4B72, FontOperation);
nix::ioctl_read_bad!(size, TIOCGWINSZ, winsize);

/// A console's font.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Font {
    /// Dots.
    width: usize,
    height: usize,
    /// Rows of dots from one character to the next.
    pitch: usize,
    characters: usize,
    /// A bit a dot, each row begins with a byte of its own.
    data: Vec<u8>,
}

/// Enlarges the font of a virtual terminal as far as a text fits on it that takes `rows_at` rows at a number of columns. Without a screen, or with
/// one whose kernel driver has only one font, nothing happens.
pub fn enlarge(terminal: &File, rows_at: impl Fn(usize) -> usize) {
    let Some((rows, columns)) = window(terminal) else { return };
    let Some(own) = get(terminal) else { return };
    let factors = (2..=4).rev().filter(|factor| own.width * factor <= MOST.0 && own.height * factor <= MOST.1);
    for factor in factors {
        let columns = columns / factor;
        if columns >= LEAST_COLUMNS && rows_at(columns) <= rows / factor && set(terminal, &own.enlarged(factor)) {
            return;
        }
    }
}

/// Columns of a terminal that has them.
pub fn columns(terminal: &File) -> Option<usize> {
    window(terminal).map(|(_, columns)| columns).filter(|columns| *columns > 0)
}

fn window(terminal: &File) -> Option<(usize, usize)> {
    let mut window = winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel writes a winsize.
    unsafe { size(terminal.as_raw_fd(), &raw mut window) }.ok()?;
    Some((window.ws_row.into(), window.ws_col.into()))
}

fn get(terminal: &File) -> Option<Font> {
    let mut data = vec![0; PITCH / 8 * PITCH * MOST_CHARACTERS];
    let (most, characters) = (PITCH as u32, MOST_CHARACTERS as u32);
    let mut asked = FontOperation { operation: GET, flags: 0, width: most, height: most, characters, data: data.as_mut_ptr() };
    // SAFETY: the buffer holds the largest font that is asked for.
    unsafe { font(terminal.as_raw_fd(), &raw mut asked) }.ok()?;
    let (width, height, characters) = (asked.width as usize, asked.height as usize, asked.characters as usize);
    let is_known = (1..=PITCH).contains(&width) && (1..=PITCH).contains(&height) && (1..=MOST_CHARACTERS).contains(&characters);
    is_known.then_some(Font { width, height, pitch: PITCH, characters, data })
}

fn set(terminal: &File, new: &Font) -> bool {
    let mut data = new.data.clone();
    let operation = if new.pitch > PITCH { SET_TALL } else { SET };
    let (width, height, characters) = (new.width as u32, new.height as u32, new.characters as u32);
    let mut wanted = FontOperation { operation, flags: 0, width, height, characters, data: data.as_mut_ptr() };
    // SAFETY: the buffer holds the whole font; the kernel only reads it.
    unsafe { font(terminal.as_raw_fd(), &raw mut wanted) }.is_ok()
}

impl Font {
    fn enlarged(&self, factor: usize) -> Font {
        let (width, height) = (self.width * factor, self.height * factor);
        // The kernel takes a taller font without rows between its characters.
        let pitch = PITCH.max(height);
        let (old_row, new_row) = (self.width.div_ceil(8), width.div_ceil(8));
        let mut data = vec![0; new_row * pitch * self.characters];
        for character in 0..self.characters {
            for y in 0..height {
                let old = (character * self.pitch + y / factor) * old_row;
                let new = (character * pitch + y) * new_row;
                for x in 0..width {
                    let from = x / factor;
                    let is_set = self.data[old + from / 8] & (0x80 >> (from % 8)) != 0;
                    data[new + x / 8] |= if is_set { 0x80 >> (x % 8) } else { 0 };
                }
            }
        }
        Font { width, height, pitch, characters: self.characters, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dot_is_enlarged() {
        let mut data = vec![0; 2 * PITCH];
        data[0] = 0b1000_0001;
        data[1] = 0b0100_0000;
        data[PITCH] = 0b1111_0000;
        let own = Font { width: 8, height: 16, pitch: PITCH, characters: 2, data };
        let large = own.enlarged(2);
        assert_eq!((large.width, large.height, large.pitch, large.data.len()), (16, 32, 32, 2 * 2 * 32));
        assert_eq!(large.data[..8], [0b1100_0000, 0b11, 0b1100_0000, 0b11, 0b0011_0000, 0, 0b0011_0000, 0]);
        assert_eq!(large.data[64..68], [0xff, 0, 0xff, 0]);
        let larger = own.enlarged(3);
        assert_eq!((larger.width, larger.height, larger.pitch, larger.data.len()), (24, 48, 48, 3 * 48 * 2));
        assert_eq!(larger.data[..9], [0b1110_0000, 0, 0b111, 0b1110_0000, 0, 0b111, 0b1110_0000, 0, 0b111]);
    }
}
