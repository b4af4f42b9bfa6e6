//! Compressed pages: every codec, and pages that decompress to more than memory has.

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use parquet::basic::{Compression, Encoding};
use parquet::data_type::ByteArrayType;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use record_files::{LARGEST_PAGE, RecordError, Records};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROWS: usize = 3000;

/// Texts and missing values, with a dictionary or not.
fn write(path: &Path, codec: Compression, version: WriterVersion, dictionary: bool) {
    let properties = WriterProperties::builder()
        .set_compression(codec)
        .set_writer_version(version)
        .set_dictionary_enabled(dictionary);
    let schema = Arc::new(parse_message_type("message schema { optional binary a (UTF8); }").unwrap());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties.build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<_> = (0..ROWS)
        .filter(|row| row % 7 != 0)
        .map(|row| text(row).as_str().into())
        .collect();
    let levels: Vec<i16> = (0..ROWS).map(|row| i16::from(row % 7 != 0)).collect();
    column
        .typed::<ByteArrayType>()
        .write_batch(&values, Some(&levels), None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

fn text(row: usize) -> String {
    format!("text {}", row % 100)
}

fn texts(path: &Path) -> Result<Vec<Option<String>>, RecordError> {
    let texts = Records::open(path)?.map(|record| Ok(record?.fields["a"].as_str().map(str::to_owned)));
    texts.collect()
}

fn file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("data.parquet")
}

#[test]
fn every_codec_gives_the_same_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let expected: Vec<_> = (0..ROWS).map(|row| (row % 7 != 0).then(|| text(row))).collect();
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4_RAW,
    ] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for dictionary in [true, false] {
                write(&path, codec, version, dictionary);
                assert!(texts(&path).unwrap() == expected, "{codec:?} {version:?} {dictionary}");
            }
        }
    }
}

#[test]
fn a_codec_that_is_not_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    write(&path, Compression::LZ4, WriterVersion::PARQUET_1_0, true);
    let error = texts(&path).unwrap_err().to_string();
    assert!(
        error.contains("the codec LZ4; write the file with Snappy or Zstandard"),
        "{error}"
    );
}

/// An integer as thrift's compact protocol writes it.
fn zigzag(value: usize) -> Vec<u8> {
    let mut rest = value << 1;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// A file whose only page is `page`. Its header says that it decompresses to `claimed` bytes.
fn write_page(path: &Path, codec: Compression, page: &[u8], claimed: usize) {
    // A data page (type 0) of one value in plain encoding, whose levels are run lengths.
    let mut bytes = b"PAR1".to_vec();
    let start = bytes.len();
    bytes.extend([0x15, 0x00, 0x15]);
    bytes.extend(zigzag(claimed));
    bytes.push(0x15);
    bytes.extend(zigzag(page.len()));
    bytes.extend([0x2c, 0x15, 0x02, 0x15, 0x00, 0x15, 0x06, 0x15, 0x06, 0x00, 0x00]);
    bytes.extend(page);
    let length = bytes.len() - start;
    bytes.extend(footer(codec, start, length));
    std::fs::write(path, bytes).unwrap();
}

fn footer(codec: Compression, start: usize, length: usize) -> Vec<u8> {
    use parquet::file::metadata::{
        ColumnChunkMetaData, FileMetaData, ParquetMetaDataBuilder, ParquetMetaDataWriter, RowGroupMetaData,
    };
    use parquet::schema::types::SchemaDescriptor;
    let schema = parse_message_type("message schema { required binary a (UTF8); }").unwrap();
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(schema)));
    let column = ColumnChunkMetaData::builder(schema.column(0))
        .set_compression(codec)
        .set_encodings(vec![Encoding::PLAIN])
        .set_num_values(1)
        .set_data_page_offset(start as i64)
        .set_total_compressed_size(length as i64)
        .set_total_uncompressed_size(length as i64);
    let group = RowGroupMetaData::builder(schema.clone())
        .set_num_rows(1)
        .set_column_metadata(vec![column.build().unwrap()]);
    let metadata = FileMetaData::new(1, 1, None, None, schema, None);
    let metadata = ParquetMetaDataBuilder::new(metadata)
        .set_row_groups(vec![group.build().unwrap()])
        .build();
    let mut footer = Vec::new();
    ParquetMetaDataWriter::new(&mut footer, &metadata).finish().unwrap();
    footer
}

/// So many zeros, compressed piece by piece.
fn zeros(count: usize, mut encoder: impl Write) {
    let piece = vec![0; 1 << 20];
    for _ in 0..count.div_ceil(piece.len()) {
        encoder.write_all(&piece).unwrap();
    }
}

#[test]
fn a_page_of_one_value_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(b"\x05\0\0\0hello").unwrap();
    write_page(
        &path,
        Compression::GZIP(Default::default()),
        &encoder.finish().unwrap(),
        9,
    );
    assert_eq!(texts(&path).unwrap(), [Some("hello".to_owned())]);
}

/// Whatever the header claims, decompression ends at the limit.
#[test]
fn a_page_that_decompresses_to_more_than_the_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let size = 2 * LARGEST_PAGE;
    let mut gzip = GzEncoder::new(Vec::new(), Level::fast());
    zeros(size, &mut gzip);
    let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    zeros(size, &mut zstd);
    // Snappy says at the beginning how long the text is.
    let snappy = [&[0x80, 0x80, 0x80, 0x80, 0x02][..], &[0; 100]].concat();
    for (codec, page) in [
        (Compression::GZIP(Default::default()), gzip.finish().unwrap()),
        (Compression::ZSTD(Default::default()), zstd.finish().unwrap()),
        (Compression::SNAPPY, snappy),
    ] {
        assert!(page.len() < size / 100);
        for claimed in [16, size] {
            write_page(&path, codec, &page, claimed);
            let error = texts(&path).unwrap_err().to_string();
            assert!(
                error.contains("row 0") && error.contains("a page of more than 268435456 bytes"),
                "{error}"
            );
        }
    }
}

#[test]
fn a_page_longer_than_its_file_is_refused_before_memory_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    write_page(&path, Compression::UNCOMPRESSED, &[0; 64], 64);
    let mut bytes = std::fs::read(&path).unwrap();
    // The compressed length, 64 (as zigzag 128): now near 2^31.
    let header = bytes
        .windows(3)
        .position(|window| window == [0x15, 0x80, 0x01])
        .unwrap();
    let second = header
        + 3
        + bytes[header + 3..]
            .windows(3)
            .position(|window| window == [0x15, 0x80, 0x01])
            .unwrap();
    bytes.splice(second + 1..second + 3, [0xfe, 0xff, 0xff, 0xff, 0x0f]);
    std::fs::write(&path, bytes).unwrap();
    assert!(texts(&path).is_err());
}
