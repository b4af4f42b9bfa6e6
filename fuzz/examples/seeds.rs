//! cargo run --release --manifest-path fuzz/Cargo.toml --example seeds
//!
//! Writes the seeds that are not text: small sound files in `seeds/`, from which the fuzzer starts.

// Its symbols are what the coverage counters call.
use libfuzzer_sys as _;

use std::path::Path;
use std::sync::Arc;

use kallm_fuzz::{evaluate_with_journal, in_folder};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use smollm2_model::weights::{read_gguf, read_safetensors};
use smoltalk_data::{ChatTokenizer, Source};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = |name: &str, bytes: &[u8]| std::fs::write(seeds.join(name), bytes);
    write("safetensors/two.safetensors", &safetensors())?;
    write("gguf/f32.gguf", &gguf(&Model::F32, &[]))?;
    write("gguf/q8_0.gguf", &gguf(&Model::Q8, &[]))?;
    let (tokenizer, vocabulary) = tokenizer()?;
    write("gguf/tokenizer.gguf", &gguf(&Model::F32, &vocabulary))?;
    write("tokenizer_json/bytes.json", &tokenizer)?;
    write("journal/answers.jsonl", &journal(&seeds)?)?;
    for (name, compression, version) in [
        ("plain", Compression::UNCOMPRESSED, WriterVersion::PARQUET_1_0),
        ("snappy", Compression::SNAPPY, WriterVersion::PARQUET_2_0),
        (
            "gzip",
            Compression::GZIP(GzipLevel::default()),
            WriterVersion::PARQUET_1_0,
        ),
        (
            "zstd",
            Compression::ZSTD(ZstdLevel::default()),
            WriterVersion::PARQUET_2_0,
        ),
        ("lz4", Compression::LZ4_RAW, WriterVersion::PARQUET_1_0),
    ] {
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_writer_version(version)
            .set_dictionary_enabled(name != "plain")
            .build();
        write(&format!("parquet/{name}.parquet"), &conversations(properties)?)?;
    }
    write("parquet/documents.parquet", &documents()?)?;
    check(&seeds)
}

/// What was written is read: a seed that is refused leads nowhere.
fn check(seeds: &Path) -> Outcome {
    read_safetensors(&seeds.join("safetensors/two.safetensors"))?;
    for name in ["f32", "q8_0", "tokenizer"] {
        read_gguf(&seeds.join(format!("gguf/{name}.gguf")))?;
    }
    ChatTokenizer::from_gguf(&seeds.join("gguf/tokenizer.gguf"))?;
    for name in ["plain", "snappy", "gzip", "zstd", "lz4"] {
        let rows = Source::open(&seeds.join(format!("parquet/{name}.parquet")))?.conversations();
        let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
        assert_eq!(rows.iter().map(|row| row.messages.len()).collect::<Vec<_>>(), [2, 1]);
    }
    Ok(())
}

fn safetensors() -> Vec<u8> {
    let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]}}"#;
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &[0x3F; 14]].concat()
}

/// The smallest models whose tensors fit their configuration.
enum Model {
    F32,
    Q8,
}

impl Model {
    fn width(&self) -> u64 {
        match self {
            Self::F32 => 2,
            Self::Q8 => 32,
        }
    }

    /// Type and bytes of a matrix of so many rows.
    fn matrix(&self, rows: u64) -> (u32, Vec<u8>) {
        match self {
            Self::F32 => (0, 0.5f32.to_le_bytes().repeat((rows * 2) as usize)),
            // A block: its scale as f16, then 32 bytes.
            Self::Q8 => (8, [&[0, 0x3C][..], &[7; 32]].concat().repeat(rows as usize)),
        }
    }
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

fn entry(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&text(key)[..], &kind.to_le_bytes(), value].concat()
}

fn array(key: &str, kind: u32, values: &[Vec<u8>]) -> Vec<u8> {
    let length = (values.len() as u64).to_le_bytes();
    entry(key, 9, &[&kind.to_le_bytes()[..], &length, &values.concat()].concat())
}

/// A model of one layer, with the tokenizer's entries after its own.
fn gguf(model: &Model, vocabulary: &[Vec<u8>]) -> Vec<u8> {
    let width = model.width();
    let number = |key: &str, value: u64| entry(key, 4, &(value as u32).to_le_bytes());
    let rows = vocabulary.first().map_or(4, |_| 273);
    let mut entries = vec![
        entry("general.architecture", 8, &text("llama")),
        number("llama.embedding_length", width),
        number("llama.feed_forward_length", width),
        number("llama.block_count", 1),
        number("llama.attention.head_count", 1),
        number("llama.attention.head_count_kv", 1),
        number("llama.context_length", 8),
        entry("llama.attention.layer_norm_rms_epsilon", 6, &1e-5f32.to_le_bytes()),
        number("tokenizer.ggml.eos_token_id", 2),
    ];
    entries.extend_from_slice(vocabulary);
    let block = [
        "attn_q",
        "attn_k",
        "attn_v",
        "attn_output",
        "ffn_gate",
        "ffn_up",
        "ffn_down",
    ];
    let mut tensors = vec![("token_embd.weight".to_owned(), vec![width, rows], model.matrix(rows))];
    for name in block {
        tensors.push((format!("blk.0.{name}.weight"), vec![width, width], model.matrix(width)));
    }
    for name in ["blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"] {
        let ones = 1f32.to_le_bytes().repeat(width as usize);
        tensors.push((name.to_owned(), vec![width], (0, ones)));
    }
    let (mut descriptions, mut data) = (Vec::new(), Vec::new());
    for (name, shape, (kind, bytes)) in &tensors {
        descriptions.extend(text(name));
        descriptions.extend((shape.len() as u32).to_le_bytes());
        shape.iter().for_each(|size| descriptions.extend(size.to_le_bytes()));
        descriptions.extend(kind.to_le_bytes());
        descriptions.extend((data.len() as u64).to_le_bytes());
        data.extend(bytes);
        data.resize(data.len().next_multiple_of(32), 0);
    }
    let counts = [tensors.len() as u64, entries.len() as u64]
        .map(u64::to_le_bytes)
        .concat();
    let mut file = [
        b"GGUF",
        &3u32.to_le_bytes()[..],
        &counts,
        &entries.concat(),
        &descriptions,
    ]
    .concat();
    file.resize(file.len().next_multiple_of(32), 0);
    file.extend(data);
    file
}

/// The built-in tokenizer as tokenizer.json on one line, and as entries of a GGUF file.
fn tokenizer() -> Outcome<(Vec<u8>, Vec<Vec<u8>>)> {
    let specification = ChatTokenizer::byte_level()?.specification();
    let value: serde_json::Value = serde_json::from_str(&specification)?;
    let vocabulary = value["model"]["vocab"].as_object().ok_or("a vocabulary")?;
    let mut tokens: Vec<(u64, &str)> = Vec::new();
    for (token, id) in vocabulary {
        tokens.push((id.as_u64().ok_or("an id")?, token));
    }
    tokens.sort_unstable();
    let texts: Vec<Vec<u8>> = tokens.iter().map(|(_, token)| text(token)).collect();
    let kind = |(id, _): &(u64, &str)| if *id < 17 { 3u32 } else { 1 };
    let kinds: Vec<Vec<u8>> = tokens.iter().map(|token| kind(token).to_le_bytes().to_vec()).collect();
    let entries = vec![
        entry("tokenizer.ggml.pre", 8, &text("smollm")),
        array("tokenizer.ggml.tokens", 8, &texts),
        array("tokenizer.ggml.token_type", 5, &kinds),
        array("tokenizer.ggml.merges", 8, &[]),
        entry("tokenizer.ggml.bos_token_id", 4, &1u32.to_le_bytes()),
        entry("tokenizer.chat_template", 8, &text("{{ messages[0].content }}")),
    ];
    Ok((specification.into_bytes(), entries))
}

/// What the journal's target writes into an empty journal.
fn journal(seeds: &Path) -> Outcome<Vec<u8>> {
    let documents = std::fs::read(seeds.join("jsonl/documents.jsonl"))?;
    let mut written = Ok(Vec::new());
    in_folder(&[("data/default/test.jsonl", &documents)], |folder| {
        let path = folder.join("journal");
        evaluate_with_journal(folder, &path);
        written = std::fs::read(path);
    });
    Ok(written?)
}

/// Two conversations, of one turn and of two.
fn conversations(properties: WriterProperties) -> Outcome<Vec<u8>> {
    let schema = "message schema {
        optional group messages (LIST) { repeated group list { optional group element {
            optional binary content (UTF8); optional binary role (UTF8);
        } } }
        optional binary source (UTF8);
    }";
    let text = |texts: [&str; 3]| texts.map(ByteArray::from).to_vec();
    write(schema, properties, |column, writer| {
        let (values, definitions, repetitions): (_, &[i16], Option<&[i16]>) = match column {
            0 => (text(["Hi", "Hello", "Bye"]), &[4, 4, 4], Some(&[0, 1, 0])),
            1 => (text(["user", "assistant", "user"]), &[4, 4, 4], Some(&[0, 1, 0])),
            _ => (text(["x", "", ""])[..1].to_vec(), &[1, 0], None),
        };
        writer
            .typed::<ByteArrayType>()
            .write_batch(&values, Some(definitions), repetitions)
    })
}

/// Documents with a number and a list beside the text.
fn documents() -> Outcome<Vec<u8>> {
    let schema = "message schema {
        required binary question (UTF8);
        required group choices { optional group text (LIST) { repeated group list { optional binary element (UTF8); } } }
        optional int64 answerKey;
    }";
    let text = |text: &str| ByteArray::from(text);
    write(
        schema,
        WriterProperties::builder().build(),
        |column, writer| match column {
            0 => writer.typed::<ByteArrayType>().write_batch(&[text("Q")], None, None),
            1 => writer
                .typed::<ByteArrayType>()
                .write_batch(&[text("a"), text("b")], Some(&[3, 3]), Some(&[0, 1])),
            _ => writer.typed::<Int64Type>().write_batch(&[7], Some(&[1]), None),
        },
    )
}

fn write(
    schema: &str,
    properties: WriterProperties,
    mut column: impl FnMut(usize, &mut parquet::file::writer::SerializedColumnWriter<'_>) -> Result<usize, ParquetError>,
) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let schema = Arc::new(parse_message_type(schema)?);
    let mut file = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    let mut index = 0;
    while let Some(mut writer) = group.next_column()? {
        column(index, &mut writer)?;
        writer.close()?;
        index += 1;
    }
    group.close()?;
    file.close()?;
    Ok(bytes)
}
