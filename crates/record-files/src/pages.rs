//! Decompresses the pages of a Parquet file, up to a limit.
//!
//! For some codecs, the parquet crate decompresses a whole page before it compares the length with the page's header. A
//! few compressed megabytes can then fill the memory. Pages are therefore decompressed here and passed to the parquet
//! crate as uncompressed pages.

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, FileReader, Length, RowGroupReader, SerializedPageReader};
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;
use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Arc;

/// Most bytes of a page after decompression, 256 MiB. Writers aim at 1 MiB; a page with one long text is larger.
pub const LARGEST_PAGE: usize = 256 << 20;

/// A Parquet file with pages of at most [`LARGEST_PAGE`] bytes.
pub(crate) struct BoundedFile {
    file: Arc<Chunks>,
    metadata: ParquetMetaData,
}

impl BoundedFile {
    pub(crate) fn new(file: File) -> Result<Self> {
        let file = Chunks(file);
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file)?;
        Ok(Self {
            file: Arc::new(file),
            metadata,
        })
    }
}

impl FileReader for BoundedFile {
    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }

    fn num_row_groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    fn get_row_group(&self, i: usize) -> Result<Box<dyn RowGroupReader + '_>> {
        Ok(Box::new(Group {
            file: &self.file,
            metadata: self.metadata.row_group(i),
        }))
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_file(projection, self)
    }
}

struct Group<'a> {
    file: &'a Arc<Chunks>,
    metadata: &'a RowGroupMetaData,
}

impl RowGroupReader for Group<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.metadata
    }

    fn num_columns(&self) -> usize {
        self.metadata.num_columns()
    }

    fn get_column_page_reader(&self, i: usize) -> Result<Box<dyn PageReader>> {
        let column = self.metadata.column(i);
        let uncompressed = column.clone().into_builder().set_compression(Compression::UNCOMPRESSED);
        let rows = usize::try_from(self.metadata.num_rows())?;
        Ok(Box::new(Pages {
            compressed: SerializedPageReader::new(self.file.clone(), &uncompressed.build()?, rows, None)?,
            codec: column.compression(),
        }))
    }

    fn get_column_bloom_filter(&self, _: usize) -> Option<&Sbbf> {
        None
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

struct Pages {
    compressed: SerializedPageReader<Chunks>,
    codec: Compression,
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.compressed.get_next_page()?;
        page.map(|page| decompressed(page, self.codec)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.compressed.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.compressed.skip_next_page()
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

fn decompressed(mut page: Page, codec: Compression) -> Result<Page> {
    match &mut page {
        Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = decompress(buf, codec)?,
        Page::DataPageV2 {
            buf,
            def_levels_byte_len,
            rep_levels_byte_len,
            is_compressed,
            ..
        } => {
            // The levels in front of the values are not compressed.
            let levels = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
            if levels > buf.len() {
                return Err(error(format!("{levels} bytes of levels in a page of {}", buf.len())));
            }
            if std::mem::take(is_compressed) {
                let values = decompress(&buf.slice(levels..), codec)?;
                *buf = [&buf[..levels], &values].concat().into();
            }
        }
    }
    Ok(page)
}

fn decompress(bytes: &Bytes, codec: Compression) -> Result<Bytes> {
    let page = match codec {
        Compression::UNCOMPRESSED => return Ok(bytes.clone()),
        // A page without a value is empty, whatever the codec.
        _ if bytes.is_empty() => Vec::new(),
        Compression::SNAPPY => {
            check_length(snap::raw::decompress_len(bytes).map_err(error)?)?;
            snap::raw::Decoder::new().decompress_vec(bytes).map_err(error)?
        }
        Compression::ZSTD(_) => read_bounded(zstd::stream::read::Decoder::new(&bytes[..])?)?,
        Compression::GZIP(_) => read_bounded(flate2::read::MultiGzDecoder::new(&bytes[..]))?,
        Compression::BROTLI(_) => read_bounded(brotli_decompressor::Decompressor::new(&bytes[..], 4096))?,
        Compression::LZ4_RAW => {
            // The format cannot expand one byte to more than 255.
            let most = bytes.len().saturating_mul(255).min(LARGEST_PAGE);
            lz4_flex::block::decompress(bytes, most).map_err(error)?
        }
        Compression::LZ4 | Compression::LZO => {
            return Err(error(format!(
                "the codec {codec:?}; write the file with Snappy or Zstandard"
            )));
        }
    };
    Ok(page.into())
}

fn read_bounded(reader: impl Read) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    reader.take(LARGEST_PAGE as u64 + 1).read_to_end(&mut page)?;
    check_length(page.len())?;
    Ok(page)
}

fn check_length(length: usize) -> Result<()> {
    if length > LARGEST_PAGE {
        return Err(error(format!(
            "a page of more than {LARGEST_PAGE} bytes; write the file with smaller pages"
        )));
    }
    Ok(())
}

fn error(problem: impl ToString) -> ParquetError {
    ParquetError::General(problem.to_string())
}

/// A file whose chunks are checked against its length before memory is allocated for them.
struct Chunks(File);

impl Length for Chunks {
    fn len(&self) -> u64 {
        Length::len(&self.0)
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.0.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.len()) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} in a file of {}",
                self.len()
            )));
        }
        self.0.get_bytes(start, length)
    }
}
