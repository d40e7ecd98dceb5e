//! One form in bytes for each value, whatever order its maps are kept in: what digests are taken of.

use loro::LoroValue;

/// A tag byte, then the length where it varies, then the bytes; map keys in order.
pub(crate) fn canonical(value: &LoroValue, out: &mut Vec<u8>) {
    let mut tagged = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        out.extend_from_slice(bytes);
    };
    match value {
        LoroValue::Null => tagged(0, &[]),
        LoroValue::Bool(flag) => tagged(1, &[u8::from(*flag)]),
        LoroValue::Double(number) => tagged(2, &number.to_bits().to_be_bytes()),
        LoroValue::I64(number) => tagged(3, &number.to_be_bytes()),
        LoroValue::Binary(bytes) => tagged(4, bytes),
        LoroValue::String(text) => tagged(5, text.as_bytes()),
        LoroValue::Container(id) => tagged(6, id.to_string().as_bytes()),
        LoroValue::List(list) => {
            tagged(7, &(list.len() as u64).to_be_bytes());
            for item in list.iter() {
                canonical(item, out);
            }
        }
        LoroValue::Map(map) => {
            tagged(8, &(map.len() as u64).to_be_bytes());
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by(|one, other| one.0.cmp(other.0));
            for (key, item) in keys {
                canonical(&LoroValue::from(key.as_str()), out);
                canonical(item, out);
            }
        }
    }
}
