//! Files in containers, by the engine's archive calls, which need neither a shell nor a running process.
//!
//! Enters: entries to write, a path to read. Leaves: a tar for the engine; the content of one plain file. Links
//! are never followed here, and sizes are looked at before anything is read.

use super::Docker;
use super::failure::{Call, Trouble};
use super::transport::{Exchange, encoded};
use crate::engine::{EngineError, FileForm, FileSeen};
use crate::model::ENGINE_FILES;
use crate::plan::FileEntry;
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use std::io::{self, Read};
use std::time::Duration;

const HEAD_LIMIT: Duration = Duration::from_secs(20);
const COPY_LIMIT: Duration = Duration::from_secs(60);
/// HTTP head and tar blocks around a file's content.
const AROUND: u64 = 64 << 10;
/// Bits of Go's `os.FileMode`.
const FOLDER: u32 = 1 << 31;
const LINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26 | 1 << 21;
const PIPE: u32 = 1 << 25;
/// Folder, link, device, pipe, socket, character device, irregular: any of these is no plain file.
const NOT_PLAIN: u32 = 1 << 31 | LINK | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;

impl Docker {
    pub(super) async fn write_files(
        &self,
        container: &str,
        entries: &[FileEntry],
    ) -> Result<(), Trouble> {
        let tar = pack(entries).map_err(|error| Trouble::Nonsense(error.to_string()))?;
        let options = UploadToContainerOptionsBuilder::default().path(ENGINE_FILES).build();
        let body = bollard::body_full(Bytes::from(tar));
        let call = self.client.upload_to_container(container, Some(options), body);
        self.within(COPY_LIMIT, call).await
    }

    /// The content of a plain file of at most `limit` bytes.
    pub(super) async fn read_plain_file(
        &self,
        container: &str,
        path: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let tried = || format!("read {path} of {}", shown(container));
        let Some(head) = self.stat(container, path).await? else { return Ok(None) };
        let fits = u64::try_from(head.size).is_ok_and(|size| size <= limit as u64);
        if head.mode & NOT_PLAIN != 0 || !fits {
            return Ok(None);
        }
        let exchange = Exchange::get(format!(
            "/containers/{}/archive?path={}",
            encoded(container),
            encoded(path)
        ));
        let exchange = exchange.with_limit(limit as u64 + AROUND);
        match self.transport.ask(exchange, COPY_LIMIT).await {
            Ok(bytes) => Ok(unpack(&bytes, limit)),
            // It went, or grew, since it was looked at.
            Err(trouble) if trouble.is_missing() => Ok(None),
            Err(Trouble::TooLarge) => Ok(None),
            Err(trouble) => Err(trouble.during(Call::Ask, tried())),
        }
    }

    /// What a link points to; `None` if it is no link.
    pub(super) async fn link_target(
        &self,
        container: &str,
        path: &str,
    ) -> Result<Option<String>, EngineError> {
        let head = self.stat(container, path).await?;
        Ok(head.filter(|head| head.mode & LINK != 0).map(|head| head.target))
    }

    pub(super) async fn seen_at(
        &self,
        container: &str,
        path: &str,
    ) -> Result<Option<FileSeen>, EngineError> {
        let head = self.stat(container, path).await?;
        Ok(head.map(|head| FileSeen {
            form: form_of(head.mode),
            size: u64::try_from(head.size).unwrap_or(u64::MAX),
            stamp: head.changed,
        }))
    }

    async fn stat(&self, container: &str, path: &str) -> Result<Option<Head>, EngineError> {
        let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
        let call = self.client.get_container_archive_info(container, Some(options));
        match self.within(HEAD_LIMIT, call).await {
            Ok(stat) => Ok(Some(Head {
                size: stat.size,
                mode: stat.file_mode,
                target: stat.link_target,
                changed: stat.modification_time.unwrap_or_default(),
            })),
            Err(trouble) if trouble.is_missing() => Ok(None),
            Err(trouble) => {
                let tried = format!("look at {path} of {}", shown(container));
                Err(trouble.during(Call::Ask, tried))
            }
        }
    }
}

struct Head {
    size: i64,
    mode: u32,
    target: String,
    changed: String,
}

fn form_of(mode: u32) -> FileForm {
    match mode {
        mode if mode & LINK != 0 => FileForm::Link,
        mode if mode & FOLDER != 0 => FileForm::Folder,
        mode if mode & PIPE != 0 => FileForm::Pipe,
        mode if mode & DEVICE != 0 => FileForm::Device,
        mode if mode & NOT_PLAIN != 0 => FileForm::Other,
        _ => FileForm::Plain,
    }
}

fn shown(container: &str) -> &str {
    if container.len() == 64 { &container[..12] } else { container }
}

/// Entries as a tar: files 0644 and folders 1777 of root, links; the time is now, for readers that look at it.
fn pack(entries: &[FileEntry]) -> io::Result<Vec<u8>> {
    let now = jiff::Timestamp::now().as_second();
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(u64::try_from(now).unwrap_or(0));
        header.set_size(0);
        match entry {
            FileEntry::File { path, content } => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(0o644);
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, content.as_slice())?;
            }
            FileEntry::Link { path, target } => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                builder.append_link(&mut header, path, target)?;
            }
            FileEntry::SharedFolder { path } => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o1777);
                let path = format!("{}/", path.trim_end_matches('/'));
                builder.append_data(&mut header, path, io::empty())?;
            }
        }
    }
    builder.into_inner()
}

/// The first entry of a tar, if it is a plain file of at most `limit` bytes, whole.
fn unpack(tar: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let mut entry = archive.entries().ok()?.next()?.ok()?;
    let size = usize::try_from(entry.size()).ok().filter(|size| *size <= limit)?;
    if !entry.header().entry_type().is_file() {
        return None;
    }
    let mut content = Vec::with_capacity(size);
    entry.read_to_end(&mut content).ok()?;
    (content.len() == size).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_say_what_lies_there() {
        for (mode, form) in [
            (0o644, FileForm::Plain),
            (134_218_239, FileForm::Link),
            (2_147_484_141, FileForm::Folder),
            (33_554_852, FileForm::Pipe),
            (69_206_436, FileForm::Device),
            (1 << 24, FileForm::Other),
        ] {
            assert_eq!(form_of(mode), form, "{mode}");
        }
    }

    #[test]
    fn only_the_first_plain_whole_and_small_file_is_taken() {
        let file = |path: &str| FileEntry::File { path: path.to_owned(), content: b"{}".to_vec() };
        let link = FileEntry::Link { path: "a".to_owned(), target: "b".to_owned() };
        let folder = FileEntry::SharedFolder { path: "out".to_owned() };
        let tar = pack(&[file("a"), file("b")]).unwrap();
        assert_eq!(unpack(&tar, 2).unwrap(), b"{}");
        assert_eq!(unpack(&tar, 1), None);
        assert_eq!(unpack(&tar[..513], 2), None);
        assert_eq!(unpack(&tar[..100], 2), None);
        assert_eq!(unpack(b"", 2), None);
        assert_eq!(unpack(&pack(&[link]).unwrap(), 9), None);
        assert_eq!(unpack(&pack(&[folder]).unwrap(), 9), None);
    }
}
