use kan_rational as _;
#[test]
fn builds() {}
