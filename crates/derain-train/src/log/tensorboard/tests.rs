use std::fs;

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// ```python
/// from tensorboard.compat.proto.event_pb2 import Event, SessionLog
/// from tensorboard.compat.proto.summary_pb2 import Summary
/// from tensorboard.summary.writer.record_writer import RecordWriter
/// import io
/// def show(event):
///     out = io.BytesIO()
///     RecordWriter(out).write(event.SerializeToString())
///     print(out.getvalue().hex())
/// show(Event(wall_time=1.5, file_version="brain.Event:2"))
/// show(Event(wall_time=1.5, step=300, session_log=SessionLog(status=SessionLog.START)))
/// show(Event(wall_time=1.5, step=300, summary=Summary(value=[
///     Summary.Value(tag="loss/total", simple_value=0.25),
///     Summary.Value(tag="samples/pair-0",
///                   image=Summary.Image(height=2, width=3, colorspace=3, encoded_image_string=b"png"))])))
/// ```
#[test]
fn records_are_those_of_tensorboard() {
    let image = Image { height: 2, width: 3, colorspace: COLORSPACE_RGB, png: b"png".to_vec() };
    let values =
        vec![scalar("loss/total", 0.25), Value { tag: "samples/pair-0".into(), shown: Some(Shown::Image(image)) }];
    let cases = [
        (
            (0, What::FileVersion(VERSION.into())),
            "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c",
        ),
        (
            (300, What::SessionLog(SessionLog { status: SESSION_START })),
            "100000000000000095fbfe1809000000000000f83f10ac023a020801713b788a",
        ),
        (
            (300, What::Summary(Summary { values })),
            "40000000000000002817f49509000000000000f83f10ac022a320a110a0a6c6f73732f746f74616c150000803e0a1d0a0e\
             73616d706c65732f706169722d30220b0802100318032203706e67ef32d051",
        ),
    ];
    for ((step, what), expected) in cases {
        let event = Event { wall_time: 1.5, step, what: Some(what) };
        assert_eq!(hex(&frame::frame(&event.encode_to_vec())), expected);
    }
}

/// The events of a file, by the format's own lengths.
fn events(path: &Path) -> Vec<Event> {
    let bytes = fs::read(path).unwrap();
    let (mut rest, mut events) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        events.push(Event::decode(&rest[12..12 + length]).unwrap());
        assert_eq!(frame::frame(&rest[12..12 + length]), rest[..16 + length]);
        rest = &rest[16 + length..];
    }
    events
}

#[test]
fn every_run_has_a_file_that_sorts_behind_and_says_where_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> =
        [0, 20, 40].map(|step| TensorBoard::open(folder.path(), step).unwrap().path.clone()).to_vec();
    assert!(paths.is_sorted_by(|a, b| a < b));
    for (path, first) in paths.iter().zip([0, 21, 41]) {
        let events = events(path);
        assert_eq!(events[0].what, Some(What::FileVersion(VERSION.into())));
        assert_eq!((events[1].step, &events[1].what), (first, &Some(What::SessionLog(SessionLog { status: 1 }))));
        assert!(events[1].wall_time > 1.6e9);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported() {
    let path = PathBuf::from("/dev/full");
    let mut board = TensorBoard { file: File::options().write(true).open(&path).unwrap(), path };
    let error = board.write(1, What::FileVersion(VERSION.into())).unwrap_err();
    let Error::Io { action: "write", source, .. } = error else { panic!("{error}") };
    assert_eq!(source.kind(), ErrorKind::StorageFull);
}
