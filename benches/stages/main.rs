//! CPU and wall time of each stage of one mémoire d'honoraires at three sizes of
//! PDF, beside the floors and beside other signers with the same key, all in
//! one run: `make bench`. Prints a table; judges nothing.
//!
//! Everything takes turns, one document at a time, because a virtual processor
//! is half as fast again one minute as the next: only ratios of one run mean
//! anything.

mod document;
mod floors;
#[path = "../grown.rs"]
mod grown;
mod meter;
mod peers;
mod scene;
mod table;
mod token;

use document::{PADES_B, PADES_LT, Passage, XADES_LT};
use floors::Floors;
use meter::Load;
use peers::{Peer, Place};
use scene::Scene;
use std::path::{Path, PathBuf};
use std::time::Duration;
use table::Ratio::Over;
use table::{SIZES, Table};
use token::SoftHsm;

/// Rounds that count, unless `SCEAU_BENCH_ROUNDS` says otherwise.
const ROUNDS: usize = 20;
const WARM_UP: usize = 3;
const PEERS: &str = "Other signers, same key; ratio: their CPU time to ours";

fn main() -> std::process::ExitCode {
    let Some(folder) = SoftHsm::folder() else {
        let folder = tempfile::tempdir().unwrap();
        let status = SoftHsm::start_anew(folder.path());
        return std::process::ExitCode::from(u8::from(!status.success()));
    };
    run(&folder);
    std::process::ExitCode::SUCCESS
}

fn run(folder: &Path) {
    let module = SoftHsm::find();
    if module.is_none() {
        println!(
            "!!!! SKIPPED: SoftHSM2 is not installed; a software key signs, and nobody to compare with"
        );
    }
    let scene = Scene::start(folder, module);
    let mut floors = Floors::new(&scene, folder);
    let mut peers = scene.hsm.as_ref().map_or_else(Vec::new, |token| {
        let (pki, tsa_url) = (scene.pki.as_path(), scene.tsa_url.as_str());
        peers::start(&Place {
            token,
            pki,
            tsa_url,
        })
    });
    let mut scrap = Table::default();
    for _ in 0..WARM_UP {
        round(&scene, &mut floors, &mut scrap, folder);
    }
    peers.retain_mut(|peer| warm_up(peer, folder));

    let rounds = std::env::var("SCEAU_BENCH_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |text| text.parse().unwrap());
    let mut table = Table::default();
    let load = Load::begin();
    let before = spent(&scene, &peers);
    for _ in 0..rounds {
        round(&scene, &mut floors, &mut table, folder);
        for peer in &mut peers {
            peer_round(peer, &mut table, folder);
        }
    }
    let ours = spent(&scene, &peers) - before;
    let bytes = scene.pdfs.each_ref().map(Vec::len);
    println!(
        "One mémoire d'honoraires with a PDF of {bytes:?} bytes; key {:?}; {rounds} rounds, all in turns.",
        scene.identity.certificate.key()
    );
    println!("{}\n", load.line(ours));
    table.print();
}

/// One document of each size, and the floors.
fn round(scene: &Scene, floors: &mut Floors, table: &mut Table, folder: &Path) {
    for size in 0..SIZES.len() {
        let whole = Passage::new(scene, table, size).go();
        floors.measure(scene, table, size, &whole);
        let [pdf, xml] = files(folder, size);
        if !pdf.exists() {
            std::fs::write(pdf, &scene.pdfs[size]).unwrap();
            std::fs::write(xml, whole).unwrap();
        }
    }
}

/// What the peers sign: the PDF, and the document with the signed PDF inside.
fn files(folder: &Path, size: usize) -> [PathBuf; 2] {
    ["pdf", "xml"].map(|kind| folder.join(format!("{size}.{kind}")))
}

fn order<'a>(level: &str, files: &'a [PathBuf; 2]) -> &'a Path {
    let [pdf, xml] = files;
    if level.starts_with("PAdES") { pdf } else { xml }
}

/// Whether the peer works.
fn warm_up(peer: &mut Peer, folder: &Path) -> bool {
    for turn in 0..peer.warm_up {
        let files = files(folder, turn % SIZES.len());
        for (level, _) in peer.levels {
            if peer.sign(level, order(level, &files)).is_none() {
                println!("!!!! SKIPPED: {} did not sign {level}", peer.name);
                return false;
            }
        }
    }
    true
}

fn peer_round(peer: &mut Peer, table: &mut Table, folder: &Path) {
    for size in 0..SIZES.len() {
        let files = files(folder, size);
        for (level, row) in peer.levels {
            let ratio = match *level {
                "PAdES-B-B" => Over(PADES_B),
                "XAdES-B-LT" => Over(XADES_LT),
                _ => Over(PADES_LT),
            };
            let cost = peer.sign(level, order(level, &files)).unwrap();
            table.add(size, (PEERS, row, ratio), cost);
        }
    }
}

/// CPU time of everything that belongs to the run.
fn spent(scene: &Scene, peers: &[Peer]) -> Duration {
    let peers: Duration = peers.iter().map(Peer::cpu).sum();
    meter::own_cpu() + scene.worker_cpu() + peers
}
