//! The compiler needs no GPU.

use super::compile;

#[test]
fn what_the_compiler_says_is_in_the_error() {
    let log =
        compile("extern \"C\" __global__ void k() { undeclared = 1; }", "wrong.cu", (9, 0)).expect_err("no such name");
    assert!(log.contains("wrong.cu") && log.contains("undeclared"), "{log}");
}
