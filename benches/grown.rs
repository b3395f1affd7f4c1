//! PDFs of any size.

/// The same PDF with its picture made larger, to about `bytes`: noise, which
/// does not compress.
pub fn grown(pdf: &[u8], bytes: usize) -> Vec<u8> {
    let mut document = lopdf::Document::load_mem(pdf).unwrap();
    let is_picture = |o: &&mut lopdf::Object| {
        let stream = o.as_stream().ok();
        let kind = stream.and_then(|s| s.dict.get(b"Subtype").ok());
        kind.is_some_and(|kind| matches!(kind.as_name(), Ok(b"Image")))
            && stream.is_some_and(|s| s.content.len() > pdf.len() / 2)
    };
    let picture = document.objects.values_mut().find(is_picture).unwrap();
    let picture = picture.as_stream_mut().unwrap();
    let side = (((bytes - pdf.len() / 4) / 3) as f64).sqrt() as i64;
    let mut state = 7_u32;
    let noise = (0..side * side * 3).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    picture.dict.remove(b"Filter");
    picture.dict.set("Width", side);
    picture.dict.set("Height", side);
    picture.set_content(noise.collect());
    let mut out = Vec::new();
    document.save_to(&mut out).unwrap();
    out
}
