use holdfast_sim::scenario::format;
fn main() {
    let text = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    let file = format::parse(&text).unwrap();
    let out = holdfast_sim::run::run_logged(&file.scenario);
    println!("{:?}", out.findings);
}
