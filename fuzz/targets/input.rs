//! The request body in any pieces, read in any pieces, by a function and by a service: the same
//! bytes, once.
#![no_main]

use std::io::{BufRead, Read};
use std::sync::Mutex;

use libfuzzer_sys::fuzz_target;
use mod_rust::gateway::memory::TestRequest;
use mod_rust::gateway::{Body, app_fn};

fuzz_target!(|given: (Vec<Vec<u8>>, Vec<u8>, bool)| {
    let (chunks, reads, known) = given;
    let expected: Vec<u8> = chunks.concat();
    let mut request = TestRequest::new("POST", "/");
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        request = request.chunk(chunk.clone());
    }
    request = request.length(known.then_some(expected.len() as u64));
    let reads = Mutex::new(reads.into_iter());
    let response = request.call(&app_fn(move |mut environ, start_response| {
        let input = environ.input();
        let mut all = Vec::new();
        while let Some(step) = reads.lock().expect("one thread").next() {
            match step % 3 {
                0 => {
                    let mut buffer = vec![0; usize::from(step)];
                    let read = input.read(&mut buffer)?;
                    all.extend_from_slice(&buffer[..read]);
                }
                1 => {
                    let data = input.fill_buf()?;
                    let taken = data.len().min(usize::from(step));
                    all.extend_from_slice(&data[..taken]);
                    input.consume(taken);
                }
                _ => {
                    if let Some(data) = input.chunk(usize::from(step).max(1))? {
                        all.extend_from_slice(&data);
                    }
                }
            }
        }
        all.extend(input.read_all(u64::MAX)?);
        start_response.start(200, [("Content-Type", "application/octet-stream")])?;
        Ok(Body::from(all))
    }));
    assert!(response.is_complete());
    assert_eq!(response.body()[..], expected[..]);
});
