//! A film with sound, byte by byte: the example's sources without sound are YUV4MPEG2.
//!
//! AVI, 25 frames of 4:2:0 a second, and PCM of 8 bits, which Matroska and MOV can hold and MP4 cannot.

/// Samples of sound a second, and of each frame.
const SAMPLE_RATE: u32 = 8000;
const FRAME_SAMPLES: u32 = SAMPLE_RATE / 25;

/// So many frames, of even sides.
pub(crate) fn film_with_sound((width, height): (u32, u32), frames: u32) -> Vec<u8> {
    let pixels = (width * height) as usize;
    let bytes = width * height * 3 / 2;
    let main = words(&[40_000, 0, 0, 0, frames, 0, 2, 0, width, height, 0, 0, 0, 0]);
    let picture_header = [b"vidsI420".to_vec(), words(&[0, 0, 0, 1, 25, 0, frames, 0, 0, 0, 0, 0])].concat();
    // The planes and bits of a pixel share a word.
    let picture_format =
        [words(&[40, width, height, 1 | (12 << 16)]), b"I420".to_vec(), words(&[bytes, 0, 0, 0, 0])].concat();
    let samples = FRAME_SAMPLES * frames;
    let sound_header = [b"auds".to_vec(), words(&[0, 0, 0, 0, 1, SAMPLE_RATE, 0, samples, 0, 0, 1, 0, 0])].concat();
    // PCM, one channel; a byte and 8 bits a sample.
    let sound_format = words(&[1 | (1 << 16), SAMPLE_RATE, SAMPLE_RATE, 1 | (8 << 16)]);
    let headers = [
        chunk(b"avih", &main),
        list(b"strl", &[chunk(b"strh", &picture_header), chunk(b"strf", &picture_format)].concat()),
        list(b"strl", &[chunk(b"strh", &sound_header), chunk(b"strf", &sound_format)].concat()),
    ];
    let mut data = Vec::new();
    for index in 0..frames {
        let mut planes = vec![(60 + index % 100) as u8; pixels];
        planes.resize(bytes as usize, 128);
        data.extend(chunk(b"00dc", &planes));
        let sound: Vec<u8> = (0..FRAME_SAMPLES).map(|sample| (100 + (sample * (index + 3)) % 50) as u8).collect();
        data.extend(chunk(b"01wb", &sound));
    }
    chunk(b"RIFF", &[b"AVI ".to_vec(), list(b"hdrl", &headers.concat()), list(b"movi", &data)].concat())
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&name[..], &(content.len() as u32).to_le_bytes(), content].concat()
}

fn list(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    chunk(b"LIST", &[&name[..], content].concat())
}
