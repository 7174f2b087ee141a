#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| imbrex_fuzz::health_texts::run(input));
