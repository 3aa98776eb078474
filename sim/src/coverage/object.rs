//! The coverage sections of programs and libraries: ELF of 64 bits, little endian, and `ar` archives of it.

use super::bytes::Bytes;

/// `__llvm_covmap` and all of `__llvm_covfun`, of one object.
pub(super) type Sections = (Vec<u8>, Vec<Vec<u8>>);

const ARCHIVE: &[u8] = b"!<arch>\n";
const ARCHIVE_HEADER_BYTES: usize = 60;
const ELF64_LITTLE_ENDIAN: &[u8] = b"\x7fELF\x02\x01";

pub(super) fn coverage_sections(file: &[u8]) -> Result<Vec<Sections>, String> {
    let mut found = Vec::new();
    for object in members(file)? {
        if object.starts_with(ELF64_LITTLE_ENDIAN) {
            found.extend(of_elf(object)?);
        }
    }
    Ok(found)
}

/// The members of an archive; else the file itself.
fn members(file: &[u8]) -> Result<Vec<&[u8]>, String> {
    let Some(mut rest) = file.strip_prefix(ARCHIVE) else { return Ok(vec![file]) };
    let mut members = Vec::new();
    while rest.len() > ARCHIVE_HEADER_BYTES {
        let (header, after) = rest.split_at(ARCHIVE_HEADER_BYTES);
        let len = std::str::from_utf8(&header[48..58]).ok().and_then(|text| text.trim().parse::<usize>().ok());
        let len = len.filter(|len| *len <= after.len()).ok_or("a damaged archive")?;
        members.push(&after[..len]);
        // Members begin at even offsets.
        rest = after.get(len.next_multiple_of(2)..).unwrap_or_default();
    }
    Ok(members)
}

fn of_elf(elf: &[u8]) -> Result<Option<Sections>, String> {
    let at = |offset: u64| {
        let mut bytes = Bytes::new(elf);
        bytes.take(offset).map(|_| bytes)
    };
    let table = at(0x28)?.u64()?;
    let mut sizes = at(0x3a)?;
    let (header_bytes, headers, names) = (sizes.u16()?, sizes.u16()?, sizes.u16()?);
    // The first header holds what 16 bits cannot.
    let headers = if headers == 0 { at(table + 0x20)?.u64()? } else { headers.into() };
    let names = if names == u16::MAX { at(table + 0x28)?.u32()?.into() } else { u64::from(names) };
    let section = |index: u64| -> Result<(u32, &[u8]), String> {
        let mut header = at(table + index * u64::from(header_bytes))?;
        let name = header.u32()?;
        header.take(0x14)?;
        let (offset, size) = (header.u64()?, header.u64()?);
        Ok((name, at(offset)?.take(size).unwrap_or_default()))
    };
    let (_, names) = section(names)?;
    let (mut covmap, mut covfun) = (Vec::new(), Vec::new());
    for index in 0..headers {
        let (name, content) = section(index)?;
        let name = names.get(name as usize..).and_then(|rest| rest.split(|byte| *byte == 0).next());
        match name {
            Some(b"__llvm_covmap") => covmap.extend_from_slice(content),
            Some(b"__llvm_covfun") => covfun.push(content.to_vec()),
            _ => {}
        }
    }
    Ok((!covmap.is_empty()).then_some((covmap, covfun)))
}
