#[test]
fn look() {
    use super::sample::*;
    for (n, r) in [("sample", sample()), ("hostile", hostile()), ("crowded", crowded()), ("empty", empty())] {
        let out = std::path::Path::new("/tmp/render-sample").join(n);
        let _ = std::fs::remove_dir_all(&out);
        super::write(&r, &out).unwrap();
        std::fs::write(format!("/tmp/render-sample/{n}.txt"), super::summary(&r) + &super::places(&out)).unwrap();
    }
}
