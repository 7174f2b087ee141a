#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| imbrex_fuzz::smartctl_json::run(input));
