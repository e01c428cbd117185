//! File format of a page: a skippable frame with the header, and a frame with the body, both with a checksum.

use std::cell::RefCell;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use super::PageHeader;

/// Magic number of a skippable frame, which zstd decoders skip.
const SKIPPABLE: u32 = 0x184D_2A50;
/// A fast level: most pages are on disk for a short time.
const LEVEL: i32 = 1;
/// A window of 256 KiB, which fits into a core's cache. A larger one saves nothing, since adjacent records are
/// similar.
const WINDOW_LOG: u32 = 18;

// creating them takes a tenth of the time of a page
thread_local! {
    static COMPRESSOR: RefCell<Compressor<'static>> = RefCell::default();
    static DECOMPRESSOR: RefCell<Decompressor<'static>> = RefCell::default();
}

pub(super) fn encode(header: &PageHeader, body: &[u8]) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(header).map_err(io::Error::other)?;
    let length = u32::try_from(json.len() + CHECK).map_err(io::Error::other)?;
    let mut content = Vec::with_capacity(body.len() / 8 + json.len() + 64);
    content.extend_from_slice(&SKIPPABLE.to_le_bytes());
    content.extend_from_slice(&length.to_le_bytes());
    content.extend_from_slice(&check(&json));
    content.extend_from_slice(&json);
    let body = COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.set_compression_level(LEVEL)?;
        compressor.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        compressor.compress(body)
    })?;
    content.extend_from_slice(&body);
    Ok(content)
}

/// Length of the checksum of the header.
const CHECK: usize = 8;
/// Length of magic number and frame size, which precede the checksum.
const PREFIX: usize = 8;

fn check(json: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    check.copy_from_slice(&Sha256::digest(json)[..CHECK]);
    check
}

pub(super) fn read_header(mut page: impl Read) -> io::Result<PageHeader> {
    let mut prefix = [0; PREFIX + CHECK];
    page.read_exact(&mut prefix)?;
    let (magic, rest) = prefix.split_at(4);
    let (length, expected) = rest.split_at(4);
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
    if magic != SKIPPABLE.to_le_bytes() || !(CHECK..64 * 1024 * 1024).contains(&length) {
        return Err(damage("it does not begin like a page"));
    }
    let mut json = vec![0; length - CHECK];
    page.read_exact(&mut json)?;
    if check(&json) != expected {
        return Err(damage("the checksum of its header is wrong"));
    }
    serde_json::from_slice(&json).map_err(|error| damage(error.to_string()))
}

pub(super) fn decode_body(content: &[u8]) -> io::Result<Vec<u8>> {
    read_header(content)?;
    let length = u32::from_le_bytes([content[4], content[5], content[6], content[7]]) as usize;
    let frame = &content[PREFIX + length..];
    let size = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten();
    let size = size
        .and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| damage("its body is cut off"))?;
    let mut body = Vec::new();
    // an impossible size is damage, too
    body.try_reserve_exact(size)
        .map_err(|error| damage(error.to_string()))?;
    DECOMPRESSOR
        .with_borrow_mut(|decompressor| decompressor.decompress_to_buffer(frame, &mut body))
        .map_err(|error| damage(error.to_string()))?;
    if body.len() == size {
        Ok(body)
    } else {
        Err(damage("its body is cut off"))
    }
}

fn damage(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

pub(super) fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}
