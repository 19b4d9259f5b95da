//! Compiles `proto/` without a `protoc` on the machine: protox is a compiler in Rust.

use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    let files = ["tidings/v1/event.proto", "tidings/v1/delivery.proto"];
    println!("cargo:rerun-if-changed={root}");
    let descriptors = protox::compile(files, [root])?;
    write_known(&descriptors)?;
    prost_build::Config::new()
        .bytes(["."])
        .compile_fds(descriptors)?;
    Ok(())
}

/// Writes down which fields each message has, so that others are noticed and passed on.
fn write_known(descriptors: &FileDescriptorSet) -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    let messages = descriptors
        .file
        .iter()
        .filter(|file| file.package() == "tidings.v1");
    for message in messages.flat_map(|file| &file.message_type) {
        if message.name() == "Delivery" {
            let numbers: Vec<i32> = message.field.iter().map(|field| field.number()).collect();
            text.push_str("/// The fields of a `Delivery`.\n");
            text.push_str(&format!(
                "pub(crate) const DELIVERY: &[u32] = &{numbers:?};\n"
            ));
        }
    }
    let folder = std::env::var("OUT_DIR")?;
    std::fs::write(std::path::Path::new(&folder).join("known.rs"), text)?;
    Ok(())
}
